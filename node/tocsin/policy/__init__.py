"""May it leave? The judge that touches nothing: values in, a decision with reasons out.

`rules` reads a policy, `configuration` everything that is in force together, `attributes` gives the names that
rules speak of, `decide` judges one object for one collection, `redact` builds the copy, `closure` settles what
may enter together. `expression` is CEL.
"""
