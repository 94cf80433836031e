//! Whose folder this is: the identity file of a node's data folder.
