//! Parts of the cluster tried together in this process, without a network.

mod replica;
