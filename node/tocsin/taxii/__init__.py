"""Speaking TAXII 2.1 (OASIS Standard, 10 June 2021): one file per chapter, the section in each docstring.

`routes` joins the chapters, `endpoint` is what they share, `query` reads parameters, `negotiation` media types,
`body` takes in and hands out within limits, `coding` makes answers smaller, `resources` writes JSON; `changes`,
`digest`, `news` (and who `waiting` for it is) and `descriptor` are our own additions for nodes; the other side is
`client`, and `remote` for the logs of nodes. `tests/taxii` goes by the same sections.

The standard leaves choices, and real clients differ. What we chose:

§1.6.7  No charset is said, since JSON is UTF-8. A body that is not UTF-8, or begins with a byte order mark, is
        400.
§1.6.8  `Accept` is met by the type with or without version, `application/json`, any range or none; 406 only for
        what names another type or version, because that is what makes a client fall back to 2.0. A body that is
        coded (`Content-Encoding`) is 415, since its size would be unknown. Answers: weak ETag over the content,
        304, zstd or gzip from 1 KiB, `private, no-cache`.
§1.6.9  No credential, an unknown, revoked or another party's one: one 401 with `WWW-Authenticate`, before any
        other fault of the request. Discovery and API root too are for known callers alone. Who may not know of a
        collection gets the same 404 as for one that is absent; 403 only where he may use it in another way, or the
        operator has suspended him.
§2      A list without an element is left out everywhere (but see §5.4). Dates have six digits; a `version` has
        those that the object's author wrote (§4.3.1, §5.3.1 say that it *is* `modified`), and is compared as an
        instant.
§3.1    Every path with and without trailing slash, no redirect, HEAD like GET, other methods 405 with `Allow`.
        `Content-Type` on GET is ignored, a missing one on POST is 415.
§3.2    X-TAXII-Date-Added headers stand wherever an object, a record or a version does; an empty answer has
        none, but for an account whose `empty_page` is `list` that of the query. They are those of this answer, not
        of the collection.
§3.3    Everything in the order in which it was added here, each version with a date of its own, strictly
        increasing, also within one POST; so `added_after` parts pages anywhere. Collections: as configured.
§3.4    `added_after` takes any digits and offsets, a `+` that arrived as a space too. `limit` is clamped to
        1000, 500 if not given. Unknown parameters and match fields are ignored, as are those that an endpoint
        does not have; a known one given twice, or empty, is 400. `all` beside other versions is `all`. A type that
        STIX does not have is no error, it matches nothing.
        STIX 2.0 never enters a log, so the latest STIX version (the default of `match[spec_version]`) is always
        2.1, and it makes no difference which of the two defaults is applied first (cti-taxii2#114).
§3.5    `next` is a sealed position: it goes with any filter, limit and `added_after` (both then hold), serves
        manifest and objects alike, and stands exactly where `more` is true, on manifest and versions too (their
        tables forget it, cti-taxii2#110). It can be sent again, at another replica, after a restart, for ever. A
        `next` that we did not give out for this collection is 400, an empty one is none.
§3.6    Every failure has an error message, also where it is only allowed (§3.1). 404 has one text, whatever is
        absent or hidden; 5xx have an id to look up in our log and no detail. 405, 429 and 503, which TAXII does
        not list, look the same.
§3.7    An empty result is `{}`. `more` is always there when there are objects.
§3.9    The name in the DNS is the operator's to set (`_taxii2._tcp`, see `deploy/`); no test can.
§4.1    Discovery is at `/taxii2/`, the one API root at `/exchange/`: neither is part of the other's path, which
        misleads clients. Absolute URLs only where `node.url` is set, never from the Host header; it may be `http:`
        to try things out, and should be what the proxy serves.
§4.3    A status is complete when it is first seen, kept for two days, for its poster; 404 for others.
§5.2    An alias works wherever an id does; the id is answered, and taxii2-client, which compares the two, needs
        the id. Ids, aliases and titles are unique. `media_types` is STIX 2.1, all that intake takes.
§5.3    A filter asks about the object, not about its record.
§5.4    A page ends at 8 MiB of objects, with one object at least. Default versions: `last`. A revoked version
        is an object like any other; a withdrawn one is gone. An account with `empty_page: list` gets
        `{"more": false, "objects": []}` for an empty page of objects, here and in §5.6, since some clients read
        `objects` unseen (Elastic) where others take an empty list for an error (MISP).
§5.5    An envelope or a bundle; other keys ignored (§7.1); an empty one gives a complete status of nothing. 400:
        not JSON, not UTF-8, a key of the envelope given twice, nested beyond all reason; 422: JSON, but no
        envelope, or above 1000 objects (413 is about bytes alone, §4.2.1). Whatever is wrong inside one object
        is its failure, STIX 2.0 too, and a `created` or `modified` without milliseconds (STIX 2.1 §3.2). The same
        version again is a success, in the status as well (cti-taxii2#106); of other content under the same version
        one stands, and the answer does not tell which. `version` of an object without dates is that of its first
        receipt. Who sends too much sees the 413: the rest of the body is passed over before the connection ends.
§5.6    Standing in this log but left out by the filter: `{}`; not standing: 404.
§5.7    Needs both rights (404 with neither, 403 with one). All versions go, unless `match` chooses (the default
        `last` of §3.4.1 would leave an object that §5.7 says is gone); choosing none is 404; an object that
        somebody else posted is 403.
§5.8    Versions in the order in which they were added, oldest entry first.
§7.1    Custom properties of an envelope are ignored, those of an object kept. We add none of our own.
§8.2    Basic (the party's name and its token), Bearer, Token or X-API-Key. `User-Agent` is not looked at. TLS is
        spoken by a proxy on the same machine (see `deploy/`, whose settings are tested, its handshakes are not).
§8.3    Client certificates are a proxy's as well, and tell the node nothing: a token is needed beside them.
"""
