//! Which attributes a path of the input document is made of.

use super::*;
use crate::policy::reads::Field;

#[test]
fn every_path_has_its_attributes() {
    let source = [Field::Principal, Field::SourceAddress, Field::SourceService];
    let rows: &[(&str, &[Field], &[&str], bool)] = &[
        ("input.version", &[], &[], false),
        ("input.parsed_path", &[], &[], false),
        ("input.parsed_query.a", &[], &[], false),
        ("input.parsed_body.a", &[], &[], false),
        ("input.truncated_body", &[], &[], false),
        ("HTTP.method", &[Field::Method], &[], false),
        ("HTTP.path", &[], &[], false),
        ("HTTP.host", &[Field::Host], &[], false),
        ("HTTP.scheme", &[Field::Scheme], &[], false),
        ("HTTP.protocol", &[Field::HttpVersion], &[], false),
        ("HTTP.body", &[], &[], false),
        ("HTTP.size", &[], &[], false),
        ("HTTP.rawBody", &[], &[], false),
        ("HTTP.id", &[Field::Id], &[], false),
        ("HTTP.query", &[Field::QueryAndFragment], &[], false),
        ("HTTP.fragment", &[Field::QueryAndFragment], &[], false),
        ("HTTP.headers.authorization", &[], &["authorization"], false),
        ("HTTP.headers", &[Field::Headers], &[], false),
        ("HTTP.headerMap.headers", &[Field::Headers], &[], false),
        (
            "HTTP",
            &[
                Field::Id,
                Field::Method,
                Field::Host,
                Field::Scheme,
                Field::QueryAndFragment,
                Field::HttpVersion,
                Field::Headers,
            ],
            &[],
            false,
        ),
        (
            "input.attributes.request.time.seconds",
            &[Field::Time],
            &[],
            false,
        ),
        ("input.source_principal", &[Field::Principal], &[], false),
        (
            "input.doorward.peer.namespace",
            &[Field::Principal],
            &[],
            false,
        ),
        // A token is read for native policies.
        ("input.doorward.request.claims.role", &[], &[], false),
        (
            "input.doorward.workload.labels",
            &[Field::ContextExtensions, Field::DestinationService],
            &[],
            false,
        ),
        (
            "input.doorward",
            &[
                Field::Principal,
                Field::ContextExtensions,
                Field::DestinationService,
            ],
            &[],
            false,
        ),
        ("input.doorward.other", &[], &[], true),
        (
            "input.attributes.source.principal",
            &[Field::Principal],
            &[],
            false,
        ),
        (
            "input.attributes.source.certificate",
            &[Field::Principal],
            &[],
            false,
        ),
        (
            "input.attributes.source.labels.app",
            &[Field::SourceService],
            &[],
            false,
        ),
        ("input.attributes.source", &source, &[], false),
        (
            "input.attributes.source.address.pipe",
            &[Field::SourceAddress],
            &[],
            false,
        ),
        (
            "input.attributes.destination.address",
            &[Field::DestinationAddress],
            &[],
            false,
        ),
        (
            "input.attributes.destination.principal",
            &[Field::DestinationService],
            &[],
            false,
        ),
        (
            "input.attributes.destination",
            &[Field::DestinationAddress, Field::DestinationService],
            &[],
            false,
        ),
        (
            "input.attributes.contextExtensions.k",
            &[Field::ContextExtensions],
            &[],
            false,
        ),
        (
            "input.attributes.metadataContext.filterMetadata.f.k",
            &[Field::Metadata],
            &[],
            false,
        ),
        (
            "input.attributes.routeMetadataContext",
            &[Field::RouteMetadata],
            &[],
            false,
        ),
        (
            "input.attributes.tlsSession.sni",
            &[Field::TlsSession],
            &[],
            false,
        ),
        ("input", &[], &[], true),
        ("input.attributes", &[], &[], true),
        ("input.attributes.request.grpc", &[], &[], true),
        ("input.attributes.source.name", &[], &[], true),
        ("HTTP.cookies", &[], &[], true),
        ("input.nope", &[], &[], true),
    ];
    for (path, fields, headers, whole) in rows {
        let path = path.replace("HTTP", HTTP);
        let policies = compile(&format!(
            "package envoy.authz\nallow if count({path}) > 1\n"
        ));
        let mut expected = Reads::default();
        for field in [Field::Shape, Field::Target, Field::Body] {
            expected.field(field);
        }
        fields.iter().for_each(|field| expected.field(*field));
        headers.iter().for_each(|name| expected.header(name));
        expected.whole_input = *whole;
        assert_eq!(*policies.entrypoint().unwrap().reads(), expected, "{path}");
    }
}
