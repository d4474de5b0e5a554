//! Of the input document as much is built as is read.

use regorus::Value;

use super::super::documents::full_request;
use super::*;
use crate::policy::rego::input::{InputError, InputSettings, RegoRequest, build};
use crate::policy::rego::paths::Use;

/// The parts of a document that are read.
fn reduced(document: &Value, read: &Paths) -> Value {
    match document {
        Value::Object(members) if !read.is_whole() => {
            let members = members.iter().filter_map(|(name, value)| {
                let read = read.member(name.as_string().unwrap())?;
                Some((name.clone(), reduced(value, read)))
            });
            Value::from(members.collect::<BTreeMap<_, _>>())
        }
        value => value.clone(),
    }
}

fn paths_of(document: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    found.push(path.clone());
    if let Value::Object(members) = document {
        for (name, value) in members.iter() {
            path.push(name.as_string().unwrap().to_string());
            paths_of(value, path, found);
            path.pop();
        }
    }
}

fn built(
    attributes: &Attributes,
    settings: &InputSettings,
    read: &Paths,
) -> Result<Value, InputError> {
    build(&RegoRequest::new(attributes, None), settings, read)
}

/// However many rules a request has asked.
#[test]
fn path_query_and_body_are_read_once() {
    let attributes = http(HttpRequest {
        path: "/a/b?c=d".to_owned(),
        headers: Headers::new(
            vec![("content-type".to_owned(), "application/json".to_owned())],
            None,
        ),
        body: "{\"a\": 1}".to_owned(),
        ..HttpRequest::default()
    });
    let request = RegoRequest::new(&attributes, None);
    let settings = InputSettings::default();
    let [one, other] = [(); 2].map(|()| build(&request, &settings, Paths::everything()).unwrap());
    for (name, is_same) in [
        ("parsed_path", same_array as fn(&Value, &Value) -> bool),
        ("parsed_query", same_object),
        ("parsed_body", same_object),
    ] {
        assert!(is_same(&one[name], &other[name]), "{name}");
    }
}

fn same_array(one: &Value, other: &Value) -> bool {
    std::ptr::eq(one.as_array().unwrap(), other.as_array().unwrap())
}

fn same_object(one: &Value, other: &Value) -> bool {
    std::ptr::eq(one.as_object().unwrap(), other.as_object().unwrap())
}

#[test]
fn what_is_read_is_as_in_the_whole_document() {
    let settings = InputSettings::default();
    for attributes in [
        full_request(),
        Attributes::default(),
        http(HttpRequest::default()),
    ] {
        let whole = built(&attributes, &settings, Paths::everything()).unwrap();
        let mut paths = Vec::new();
        paths_of(&whole, &mut Vec::new(), &mut paths);
        for path in &paths {
            let more = ["x", "nope"].map(|part| [path.as_slice(), &[part.to_owned()]].concat());
            for (path, how) in [
                (path, Use::Whole),
                (path, Use::Presence),
                (&more[0], Use::Whole),
                (&more[1], Use::Presence),
            ] {
                let mut read = Paths::default();
                read.add(path, how);
                read.add(["attributes", "request", "http", "host"], Use::Whole);
                let built = built(&attributes, &settings, &read).unwrap();
                assert_eq!(
                    reduced(&built, &read),
                    reduced(&whole, &read),
                    "{path:?} {how:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_not_read_is_not_built() {
    let rows: &[(&str, Json)] = &[
        ("allow := true", json!({})),
        (
            "allow if HTTP.method",
            json!({"attributes": {"request": {"http": {"method": "GET"}}}}),
        ),
        (
            "allow if HTTP.headers[\"content-type\"]",
            json!({"attributes": {"request": {"http": {"headers": {"content-type": "text/plain"}}}}}),
        ),
        (
            "allow if HTTP.headers[\"x-nope\"]",
            json!({"attributes": {"request": {"http": {"headers": {}}}}}),
        ),
        (
            "allow if input.parsed_path",
            json!({"parsed_path": ["a", "b"]}),
        ),
        (
            "allow if { s := input.attributes.source }",
            json!({"attributes": {}}),
        ),
        ("allow if input.nope", json!({})),
    ];
    let request = http(HttpRequest {
        method: "GET".to_owned(),
        path: "/a/b?c=d".to_owned(),
        headers: Headers::new(
            vec![
                ("content-type".to_owned(), "text/plain".to_owned()),
                ("x-a".to_owned(), "b".to_owned()),
            ],
            None,
        ),
        ..HttpRequest::default()
    });
    for (body, expected) in rows {
        let policies = compile(&format!(
            "package envoy.authz\n{}\n",
            body.replace("HTTP", HTTP)
        ));
        let built = built(
            &request,
            &InputSettings::default(),
            policies.entrypoint().unwrap().input(),
        );
        let built: Json = serde_json::from_str(&built.unwrap().to_json_str().unwrap()).unwrap();
        assert_eq!(built, *expected, "{body}");
    }
}
