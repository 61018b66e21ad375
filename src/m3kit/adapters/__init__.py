"""
What the adapter of a vector database stands on.

    store               Store and Searcher, the protocols to implement; StoreIndex over them
    ranking             Scorer, and the rules of fusion and ties for every store
    filter_translation  walks a filter, and keeps track of where the engine's answer is exact
    filter_terms        the terms of a document, for engines whose own filters are slow or inexact
    manifest            what an index records about itself, and what a caller wants of it
    field_names         the field names of a collection
    storage, pooling    how ColBERT vectors are stored
    addresses, closing  parsing `host:port/collection`; closing what was opened
    read_only           an index that is read beside other processes that read it
    forks               what a forked process must not use
"""
