//! Pairs of requests that are taken for one another if anything about them is lost. What requests are put
//! together of is in `parts`.

/// Parts and their values that stand in each other's place if anything about them is lost: what is
/// taken for it, and for which it is taken.
pub const TWINS: &[[&[(&str, usize)]; 2]] = &[
    // HTTP, TCP, no request, and nothing at all.
    [&[("shape", 0)], &[("shape", 6)]],
    [&[("shape", 6)], &[("shape", 7)]],
    [
        &[
            ("shape", 7),
            ("source/principal", 6),
            ("contextExtensions/k", 0),
            ("contextExtensions/kb", 0),
            ("contextExtensions/doorward.namespace", 0),
            ("contextExtensions/doorward.labels", 0),
            ("contextExtensions/doorward.service-account", 0),
        ],
        &[("shape", 8)],
    ],
    // One peer, which is either.
    [
        &[
            ("source/address", 0),
            ("source/principal", 6),
            ("source/certificate", 0),
            ("source/service", 0),
            ("source/labels", 0),
            ("destination/address", 4),
            ("destination/principal", 0),
            ("destination/service", 0),
            ("destination/labels", 0),
        ],
        &[
            ("source/address", 13),
            ("source/principal", 6),
            ("source/certificate", 0),
            ("source/service", 0),
            ("source/labels", 0),
            ("destination/address", 5),
            ("destination/principal", 0),
            ("destination/service", 0),
            ("destination/labels", 0),
        ],
    ],
    // A peer without anything, and none.
    [
        &[
            ("source/address", 12),
            ("source/principal", 6),
            ("source/certificate", 0),
            ("source/service", 0),
            ("source/labels", 0),
        ],
        &[
            ("source/address", 13),
            ("source/principal", 6),
            ("source/certificate", 0),
            ("source/service", 0),
            ("source/labels", 0),
        ],
    ],
    // The same metadata, which is either's.
    [
        &[
            ("metadataContext/filterMetadata/f/k", 0),
            ("metadataContext/filterMetadata/f/l", 0),
            ("metadataContext/filterMetadata/envoy.filters.http.lua/k", 0),
            ("metadataContext/typedFilterMetadata/t", 0),
            ("routeMetadataContext/filterMetadata/f/k", 0),
        ],
        &[
            ("metadataContext/filterMetadata/f/k", 14),
            ("metadataContext/filterMetadata/f/l", 0),
            ("metadataContext/filterMetadata/envoy.filters.http.lua/k", 0),
            ("metadataContext/typedFilterMetadata/t", 0),
            ("routeMetadataContext/filterMetadata/f/k", 1),
        ],
    ],
    // A header that nobody names, and none at all.
    [
        &[
            ("x-a", 3),
            ("x-b", 2),
            ("x-c", 0),
            ("X-A", 0),
            ("content-type", 1),
            ("content-length", 0),
            ("x-envoy-auth-partial-body", 0),
            ("x-forwarded-for", 0),
            ("x-forwarded-client-cert", 0),
            ("origin", 0),
            ("access-control-request-method", 0),
            ("x-user", 0),
            ("x_user", 0),
            ("place", 2),
            ("second token", 0),
            ("traceparent", 0),
        ],
        &[
            ("x-a", 3),
            ("x-b", 2),
            ("x-c", 0),
            ("X-A", 0),
            ("content-type", 1),
            ("content-length", 0),
            ("x-envoy-auth-partial-body", 0),
            ("x-forwarded-for", 0),
            ("x-forwarded-client-cert", 0),
            ("origin", 0),
            ("access-control-request-method", 0),
            ("x-user", 0),
            ("x_user", 0),
            ("place", 2),
            ("second token", 0),
            ("traceparent", 4),
        ],
    ],
    // Values between which rules decide.
    [&[("x-forwarded-for", 1)], &[("x-forwarded-for", 3)]],
    [&[("tlsSession", 2)], &[("tlsSession", 4)]],
    [&[("request/http/host", 0)], &[("request/http/host", 3)]],
    [&[("source/address", 0)], &[("source/address", 8)]],
    [&[("destination/address", 0)], &[("destination/address", 1)]],
    [&[("destination/address", 0)], &[("destination/address", 2)]],
    [&[("source/labels", 1)], &[("source/labels", 2)]],
    [
        &[("metadataContext/filterMetadata/f/k", 0)],
        &[("metadataContext/filterMetadata/f/k", 1)],
    ],
    [
        &[("metadataContext/filterMetadata/f/k", 3)],
        &[("metadataContext/filterMetadata/f/k", 4)],
    ],
    [
        &[("metadataContext/filterMetadata/f/k", 3)],
        &[("metadataContext/filterMetadata/f/k", 14)],
    ],
    [
        &[("metadataContext/filterMetadata/f/k", 6)],
        &[("metadataContext/filterMetadata/f/k", 14)],
    ],
    [
        &[("metadataContext/filterMetadata/f/k", 9)],
        &[("metadataContext/filterMetadata/f/k", 10)],
    ],
    [
        &[("metadataContext/filterMetadata/f/k", 11)],
        &[("metadataContext/filterMetadata/f/k", 12)],
    ],
    [
        &[("contextExtensions/k", 2), ("contextExtensions/kb", 0)],
        &[("contextExtensions/k", 0), ("contextExtensions/kb", 1)],
    ],
    [&[("contextExtensions/k", 0)], &[("contextExtensions/k", 1)]],
    [&[("x-a", 0), ("x-b", 0)], &[("x-a", 1), ("x-b", 1)]],
    [&[("x-a", 2)], &[("x-a", 3)]],
    [&[("x-a", 5)], &[("x-a", 6)]],
    [&[("x-a", 5)], &[("x-a", 7)]],
    [
        &[("source/service", 1), ("source/labels", 1)],
        &[("source/service", 2), ("source/labels", 0)],
    ],
    [&[("tlsSession", 0)], &[("tlsSession", 1)]],
    [
        &[("request/http/query", 1), ("request/http/fragment", 0)],
        &[("request/http/query", 0), ("request/http/fragment", 1)],
    ],
    [&[("request/http/body", 6)], &[("request/http/body", 7)]],
    [
        &[("request/http/id", 1), ("request/http/method", 0)],
        &[("request/http/id", 0), ("request/http/method", 6)],
    ],
    [
        &[("routeMetadataContext/filterMetadata/f/k", 1)],
        &[("routeMetadataContext/filterMetadata/f/k", 2)],
    ],
    [&[("source/address", 0)], &[("source/address", 3)]],
    [
        &[("x-user", 1), ("x_user", 0)],
        &[("x-user", 0), ("x_user", 1)],
    ],
];
