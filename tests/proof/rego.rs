//! Rego put together of what can be read and of what can be done with it. What is read gets into the
//! decision, or decides: two requests that differ in it are decided otherwise.

use super::random::Random;
use super::tokens::{Key, SECRET, jwks};

/// What is read. `H` is the HTTP request, `T` the token of the usual header, `KEYS` a key set.
const READ: &[&str] = &[
    r#"H.headers["x-a"]"#,
    r#"H.headers["x-b"]"#,
    r#"[H.headers["x-a"], H.headers["x-b"]]"#,
    r#"[x | some name in ["x-a", "x-c"]; x := H.headers[name]]"#,
    r#"H.headers[lower(H.headers["x-b"])]"#,
    "H.headers",
    "count(H.headers)",
    "H.headerMap",
    "H.method",
    "H.path",
    "H.host",
    "H.scheme",
    "H.protocol",
    "H.id",
    "H.query",
    "H.fragment",
    "H.size",
    "H.body",
    "H.rawBody",
    "H",
    "[x | some name, x in H; name != \"headers\"]",
    "input.parsed_path",
    "input.parsed_path[0]",
    "input.parsed_query",
    "input.parsed_query.x",
    "input.parsed_body",
    "input.parsed_body.a",
    "type_name(input.parsed_body.a)",
    "input.truncated_body",
    "input.version",
    "input.source_principal",
    "input.attributes.source.principal",
    "input.attributes.source.certificate",
    "input.attributes.source.address",
    "input.attributes.source.address.socketAddress",
    "input.attributes.source.service",
    "input.attributes.source.labels",
    "input.attributes.source",
    "input.attributes.destination.address",
    "input.attributes.destination.service",
    "input.attributes.destination.principal",
    "input.attributes.destination.labels",
    "input.attributes.destination",
    "input.attributes.request.time",
    "input.attributes.request",
    "input.attributes.contextExtensions",
    "input.attributes.contextExtensions.k",
    "input.attributes.metadataContext",
    "input.attributes.metadata_context",
    "input.attributes.metadataContext.filterMetadata",
    "input.attributes.metadataContext.filterMetadata.f.k",
    "type_name(input.attributes.metadataContext.filterMetadata.f.k)",
    "[x | x := input.attributes.metadataContext.filterMetadata.f.k == 1]",
    "input.attributes.metadataContext.typedFilterMetadata",
    "[x | walk(input.attributes.metadataContext, [_, x])]",
    "input.attributes.routeMetadataContext",
    "input.attributes.routeMetadataContext.filterMetadata.f.k",
    "input.attributes.tlsSession",
    "input.attributes.tlsSession.sni",
    "input.doorward",
    "input.doorward.peer",
    "input.doorward.peer.namespace",
    "input.doorward.request",
    "input.doorward.request.principal",
    "input.doorward.request.claims.level",
    "input.doorward.workload",
    "input.doorward.workload.labels.app",
    "input",
    "input.attributes",
    "input",
    r#"[x | some part in ["source", "destination"]; x := input.attributes[part].principal]"#,
    r#"object.get(input, ["attributes", "request", "http", "headers", "x-c"], "none")"#,
    r#"object.get(input.attributes, "tlsSession", "none")"#,
    r#"data.roles[H.headers["x-a"]]"#,
    r#"json.unmarshal(H.headers["x-c"])"#,
    r#"to_number(H.headers["x-a"])"#,
    "io.jwt.decode(T)",
    "io.jwt.decode_verify(T, {\"cert\": KEYS})",
    "io.jwt.decode_verify(T, {\"cert\": KEYS, \"iss\": \"iss-a\", \"aud\": \"aud-a\"})",
    "io.jwt.decode_verify(T, {\"cert\": KEYS, \"time\": 1700000009000000000})",
    "io.jwt.decode_verify(T, {\"secret\": SECRET, \"aud\": \"aud-a\"})",
    "io.jwt.verify_eddsa(T, KEYS)",
    "io.jwt.verify_hs256(T, SECRET)",
];

/// What has a name, of which only that is read that the name is used for, and whether it is there.
const NAMED: &[&str] = &[
    "[v | s := input.attributes.source; v := [w | w := s.principal]]",
    "[v | s := input.attributes.source; v := [w | w := s.address]]",
    "[v | s := input.attributes.destination; v := [w | w := s.address]]",
    "[v | s := input.attributes.request; v := [w | w := s.http.method]]",
    "[v | s := H; v := [w | w := s.host]]",
    "[v | s := H.headers; v := [w | w := s[\"x-a\"]]]",
    "[v | s := input.attributes; v := [w | w := s.contextExtensions.k]]",
    "[v | s := input.attributes.contextExtensions; v := [w | w := s.k]]",
    "[v | s := input.attributes.tlsSession; v := [w | w := s.sni]]",
    "[v | s := input.attributes.metadataContext; v := [w | w := s.filterMetadata.f.l]]",
    "[v | s := input.attributes.routeMetadataContext; v := [w | w := s.filterMetadata.f.k]]",
];

/// What becomes of it. `E` and `O` are read.
const TOLD: &[&str] = &[
    "allow := {\"allowed\": true, \"headers\": {\"x-v\": hash([v | v := E])}, \"dynamic_metadata\": {\"v\": [v | v := O]}}",
    "allow := {\"allowed\": true, \"headers\": {\"x-v\": hash([v | v := E])}, \"request_headers_to_remove\": [\"x-a\"], \"response_headers_to_add\": {\"x-r\": \"1\"}}",
    "allow := {\"allowed\": false, \"http_status\": 429, \"body\": hash([v | v := E]), \"headers\": {\"x-d\": \"1\"}} if O\nelse := true",
    "allow := {\"allowed\": true, \"query_parameters_to_set\": {\"q\": hash([v | v := E])}, \"query_parameters_to_remove\": [\"x\"]}",
    "default allow := false\nallow if E",
    "default allow := false\nallow if not E",
    "default allow := false\nallow if { E == O }",
    "default allow := true\nallow := false if { [v | v := E] == [v | v := O] }",
    "allow := {\"allowed\": true, \"dynamic_metadata\": {\"v\": E}} if { E }\nelse := {\"allowed\": false, \"body\": hash([v | v := O])}",
    // Read by rules and functions.
    "seen := E\nother := [v | v := O]\nallow := {\"allowed\": true, \"dynamic_metadata\": {\"v\": [[v | v := seen], other]}}",
    "f(a) := [a, v] if { v := E }\nelse := \"none\"\nallow := {\"allowed\": true, \"dynamic_metadata\": {\"v\": [v | v := f(O)]}}",
    "seen contains v if { v := E }\nseen contains v if { v := O }\nallow := {\"allowed\": count(seen) != 1, \"dynamic_metadata\": {\"v\": hash(seen)}}",
    "default allow := false\nallow if { every v in [w | w := E] { v == O } }",
    // In place of something else.
    "seen := [v | v := E]\nallow := {\"allowed\": true, \"dynamic_metadata\": {\"v\": came}} if { came := seen with input.attributes.request.http.method as \"GET\" }",
    "seen := [v | v := E]\nallow := {\"allowed\": true, \"dynamic_metadata\": {\"v\": came}} if { put := [v | v := O]; came := seen with input as {\"attributes\": {\"request\": {\"http\": {\"headers\": {\"x-a\": put}}}}} }",
    "seen := [v | v := E]\nallow := {\"allowed\": true, \"dynamic_metadata\": {\"v\": came}} if { put := [v | v := O]; came := [seen, data.roles.now] with data.roles.now as put }",
    "t := time.now_ns()\nallow := {\"allowed\": true, \"dynamic_metadata\": {\"v\": [came, [v | v := E]]}} if { came := t with time.now_ns as 5 }",
    // What may be anything, and is mostly no result.
    "allow := E",
    // What is no part of a request.
    "allow := {\"allowed\": true, \"dynamic_metadata\": {\"now\": format_int(time.now_ns(), 10), \"v\": [v | v := E]}}",
    "default allow := false\nallow if { time.now_ns() % 2000000000 < 1000000000; [v | v := E] != [v | v := O] }",
    "default allow := false\nallow if { rand.intn(\"x\", 5) >= 0; E }",
    "default allow := false\nallow if { count(uuid.rfc4122(\"x\")) == 36; E }",
];

/// What reads the clock and says how long that holds, which is told with the decision.
const HOLDS: &[&str] = &[
    "allow := {\"allowed\": true, \"cache_ttl_seconds\": 7, \"dynamic_metadata\": {\"holds\": 7, \"now\": format_int(time.now_ns(), 10), \"v\": [v | v := E]}}",
    "allow := {\"allowed\": true, \"cache_ttl_seconds\": 1, \"dynamic_metadata\": {\"holds\": 1, \"now\": format_int(time.now_ns(), 10), \"v\": [v | v := E]}}",
    "allow := {\"allowed\": true, \"cache_ttl_seconds\": 1000, \"dynamic_metadata\": {\"holds\": 1000, \"now\": format_int(time.now_ns(), 10), \"v\": [v | v := E]}}",
    "ttl := 7 if E\nelse := 0\nallow := {\"allowed\": true, \"cache_ttl_seconds\": ttl, \"dynamic_metadata\": {\"holds\": ttl, \"now\": format_int(time.now_ns(), 10)}}",
    "allow := {\"allowed\": time.now_ns() % 4000000000 < 2000000000, \"cache_ttl_seconds\": 7, \"dynamic_metadata\": {\"holds\": 7, \"v\": [v | v := E]}}",
];

/// A module of a package whose rule `allow` is asked, and whether it reads the clock and holds for a while.
pub fn module(random: &mut Random, package: &str) -> (String, bool) {
    let holds = random.percent(15);
    let told = random.pick(if holds { HOLDS } else { TOLD });
    let keys: &[Key] = if random.percent(50) {
        &[Key::A]
    } else {
        &[Key::A, Key::B]
    };
    let [read, other] = [(); 2].map(|()| reading(random));
    (text(package, told, [&read, &other], keys), holds)
}

/// One thing that is read, or some, of which each may not be there.
fn reading(random: &mut Random) -> String {
    match random.below(100) {
        0..15 => return (*random.pick(NAMED)).to_owned(),
        15..55 => return (*random.pick(READ)).to_owned(),
        _ => {}
    }
    let all = (0..2 + random.below(4)).map(|_| format!("[r | r := {}]", random.pick(READ)));
    format!("[{}]", all.collect::<Vec<_>>().join(", "))
}

/// Modules by which all that is read, and all that becomes of it, is there at least once.
pub fn all() -> impl Iterator<Item = String> {
    let read = READ
        .iter()
        .chain(NAMED)
        .map(|read| text("envoy.authz", TOLD[0], [*read; 2], &[Key::A]));
    let told = TOLD.iter().chain(HOLDS);
    read.chain(told.map(|told| text("envoy.authz", told, [READ[0]; 2], &[Key::A])))
}

fn text(package: &str, told: &str, [read, other]: [&str; 2], keys: &[Key]) -> String {
    let rules = replaced(told, |word| match word {
        "E" => Some(read.to_owned()),
        "O" => Some(other.to_owned()),
        _ => None,
    });
    let rules = replaced(&rules, |word| match word {
        "H" => Some("input.attributes.request.http".to_owned()),
        "T" => Some("token".to_owned()),
        "KEYS" => Some(quoted(&jwks(keys))),
        "SECRET" => Some(quoted(SECRET)),
        _ => None,
    });
    format!(
        "package {package}\n\
         hash(x) := crypto.sha256(json.marshal(x))\n\
         token := trim_prefix(input.attributes.request.http.headers.authorization, \"Bearer \")\n\
         {rules}\n"
    )
}

fn replaced(text: &str, by: impl Fn(&str) -> Option<String>) -> String {
    words(text)
        .map(|word| by(word).unwrap_or_else(|| word.to_owned()))
        .collect()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text cut at all that is no letter.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_inside = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match is_inside(first) {
            true => rest.find(|letter| !is_inside(letter)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some(word)
    })
}
