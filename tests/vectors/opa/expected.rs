//! Where replies are not those that were recorded, case by case, and why (docs/opa-differences.md).

/// Suite, case and reason.
pub(super) const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "load-errors",
        "number too large exponent",
        "a number out of a double's range is refused",
    ),
    (
        "load-errors",
        "very deep nesting 200",
        "brackets that deep are refused",
    ),
    (
        "input-document",
        r#"path "/a?x=%zz&y=1""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "/a#frag""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "/a?x=1#frag""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "/a#frag?x""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "http://h:1/x/y?z=1""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "http://h/""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "h:80""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path ":80""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "/a\tb""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "1a:b""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "//h:x/a""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "//[::1]/a""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "/a?%zz=1""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        r#"path "http://[bad/x""#,
        "as newer releases of the plugin",
    ),
    (
        "input-document",
        "wire: invalid UTF-8 in path",
        "a message that cannot be decoded is denied, not failed",
    ),
    (
        "input-document",
        "wire: invalid UTF-8 in body",
        "a message that cannot be decoded is denied, not failed",
    ),
    (
        "input-document",
        "wire: garbage",
        "a message that cannot be decoded is denied, not failed",
    ),
    (
        "input-document",
        "wire: truncated",
        "a message that cannot be decoded is denied, not failed",
    ),
    (
        "input-as-metadata",
        r#"path "/%ff""#,
        "bytes that are not UTF-8 are replaced",
    ),
    (
        "input-as-metadata",
        "everything at once",
        "a certificate that is none is refused",
    ),
    (
        "input-skip-body-parse",
        "everything at once",
        "a certificate that is none is refused",
    ),
    (
        "result-object",
        "http_status raw 4.01e2",
        "the text of a number is not kept",
    ),
    (
        "result-object",
        "http_status raw 401e0",
        "the text of a number is not kept",
    ),
    (
        "result-object",
        "query_parameters_to_set odd text",
        "what would break out of a parameter is refused",
    ),
    (
        "result-object",
        "request_headers_to_remove empty string element",
        "what is no header is refused",
    ),
    (
        "result-object",
        "set and remove the same query parameter",
        "a removal wins",
    ),
    (
        "result-rego",
        "http_status literal 4.03e2",
        "the text of a number is not kept",
    ),
    (
        "result-rego",
        "http_status literal 401.0",
        "the text of a number is not kept",
    ),
    (
        "result-rego",
        "http_status to_number of 401.0 text",
        "the text of a number is not kept",
    ),
    (
        "builtins",
        r#"sprintf: sprintf("%d", [1.0])"#,
        "the text of a number is not kept",
    ),
    (
        "builtins",
        r#"strings: to_number("01")"#,
        "the text of a number is not kept",
    ),
    (
        "builtins",
        r#"strings: to_number("1_000")"#,
        "the text of a number is not kept",
    ),
    (
        "language",
        "set ordering of mixed",
        "objects, arrays and sets have another order",
    ),
    (
        "language-more",
        "metadata number 2^53+1",
        "the text of a number is not kept",
    ),
    (
        "language-more",
        "metadata number as %d",
        "the text of a number is not kept",
    ),
];
