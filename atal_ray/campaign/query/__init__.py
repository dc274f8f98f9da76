"""The query: snapshots -> questions, shard by shard."""
