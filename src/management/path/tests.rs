use super::*;

#[test]
fn documents_behind_calls() {
    const DATA: &str = "/v1/data/{*path}";
    let rows: [(&str, &str, Result<&[&str], &str>); 10] = [
        ("/v1/data", "/v1/data", Ok(&[])),
        ("/v1/data/", "/v1/data/", Ok(&[])),
        ("/", "/", Ok(&[])),
        (DATA, "/v1/data/a/b", Ok(&["a", "b"])),
        (DATA, "/v1/data//a///b/", Ok(&["a", "b"])),
        (DATA, "/v1/data/a%2Fb/%20", Ok(&["a/b", " "])),
        ("/health/{*path}", "/health/live", Ok(&["live"])),
        (DATA, "/v1/data/a%ff", Err("the path is not UTF-8")),
        (DATA, "/v1/data/a%22b", Err("invalid ref term 'a\"b'")),
        // What is no path of the call is never the root.
        (DATA, "/v1/d%61ta/a", Err("there is no such call")),
    ];
    for (route, path, expected) in rows {
        let found = DocumentPath::of(route, path);
        let found = found.map_err(|error| error.message().to_owned());
        let owned = |parts: &[&str]| parts.iter().map(ToString::to_string).collect();
        let expected = expected
            .map(|parts| DocumentPath(owned(parts)))
            .map_err(str::to_owned);
        assert_eq!(found, expected, "{route} {path}");
    }
}
