"""Speaking TAXII 2.1 (OASIS Standard, 10 June 2021): one file per chapter, the section in each docstring.

`routes` joins the chapters, `endpoint` is what they share, `query` reads parameters, `negotiation` media types,
`resources` writes JSON; `changes` and `descriptor` are our own additions for nodes, `client` the other side.

The standard leaves choices, and real clients differ. What we chose:

§1.6.8  `Accept` is met by the type with or without version, `application/json`, any range or none; 406 only for
        what names another type or version, because that is what makes a client fall back to 2.0. A body that is
        coded (`Content-Encoding`) is 415, since its size would be unknown. Answers: weak ETag over the content,
        304, gzip from 1 KiB, `private, no-cache`.
§3.1    Every path with and without trailing slash, no redirect, HEAD like GET, other methods 405 with `Allow`.
        `Content-Type` on GET is ignored, a missing one on POST is 415.
§3.2    X-TAXII-Date-Added headers stand wherever an object, a record or a version does; an empty answer has
        none, but for an account whose `empty_page` is `list` that of the query.
§3.4    `added_after` takes any digits and offsets, a `+` that arrived as a space too. `limit` is clamped to
        1000, 500 if not given. Unknown parameters and match fields are ignored, as are those that an endpoint
        does not have; a known one given twice, or empty, is 400. `all` beside other versions is `all`.
§3.5    `next` is a sealed position: it goes with any filter, limit and `added_after` (both then hold), serves
        manifest and objects alike, and stands exactly where `more` is true, on manifest and versions too. A
        `next` that we did not give out for this collection is 400, an empty one is none.
§3.6    Every failure has an error message. 404 has one text, whatever is absent or hidden; 5xx have an id to
        look up in our log and no detail.
§3.7    An empty result is `{}`. `more` is always there when there are objects.
§4      Discovery and the API root are for known callers; one API root; absolute URLs only where `node.url` is
        set, never from the Host header. A status is complete when it is first seen, kept for its poster, 404
        for others.
§5.2    An alias works wherever an id does; the id is answered. `media_types` is STIX 2.1, all that intake
        takes.
§5.4    A page ends at 8 MiB of objects, with one object at least. Default versions: `last`. A revoked version
        is an object like any other; a withdrawn one is gone.
§5.5    An envelope or a bundle; other keys ignored; an empty one gives a complete status of nothing. 400: not
        JSON, not UTF-8, a key of the envelope given twice, nested beyond all reason; 422: JSON, but no
        envelope, or above 1000 objects (413 is about bytes alone, §4.2.1). Whatever is wrong inside one object
        is its failure. The same version again succeeds; `version` of an object without dates is that of its
        first receipt.
§5.6    Standing in this log but left out by the filter: `{}`; not standing: 404.
§5.7    Needs both rights (404 with neither, 403 with one). All versions go, unless `match` chooses; choosing
        none is 404; an object that somebody else posted is 403.
§5.8    Versions in the order in which they were added, oldest entry first.
§8.2    Basic (the party's name and its token), Bearer, Token or X-API-Key; one 401 for whatever is wrong with
        it.
"""
