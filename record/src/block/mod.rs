//! The block: a batch of masked records of one shard, encoded, compressed and checksummed once.
