use serde_json::json;

use super::*;

#[test]
fn documents_keep_the_place_of_every_node() {
    let text = "a: 1\nb:\n  - x: y\n  - z\n---\n\n---\nc: \"1\"\nd: ~\n";
    let documents = Document::parse_stream(text).unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0].value, json!({"a": 1, "b": [{"x": "y"}, "z"]}));
    assert_eq!(documents[1].value, json!({"c": "1", "d": null}));
    let rows = [
        ("a", 1, 1),
        ("b", 2, 1),
        ("b[0].x", 3, 5),
        ("b[1]", 4, 5),
        ("b[1].none", 4, 5),
        // What is missing at the top is missing in the document.
        ("none", 1, 1),
        ("", 1, 1),
    ];
    for (path, row, col) in rows {
        assert_eq!(documents[0].locate(path), Some(Mark { row, col }), "{path}");
    }
    assert_eq!(documents[1].locate("c").unwrap().row, 8);
}

#[test]
fn json_is_yaml() {
    let documents = Document::parse_stream("{\"a\": [1.5, true, null, \"x\"]}").unwrap();
    assert_eq!(documents[0].value, json!({"a": [1.5, true, null, "x"]}));
}

#[test]
fn a_mismatch_names_its_place() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its reading matters")]
        inner: Vec<Inner>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its reading matters")]
        port: u16,
    }
    let document = &Document::parse_stream("inner:\n- port: 1\n- prt: 2\n").unwrap()[0];
    let problem = document.read::<Outer>().unwrap_err();
    assert_eq!(problem.mark, Some(Mark { row: 3, col: 3 }), "{problem}");
    assert!(problem.message.contains("unknown field `prt`"), "{problem}");
}

#[test]
fn what_is_not_yaml_is_refused_with_its_place() {
    for text in ["a: [1", "a: 1\na: 2\n", "a: b: c", "a: *nope"] {
        let problem = Document::parse_stream(text).unwrap_err();
        assert!(problem.mark.is_some(), "{text:?}: {problem}");
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            below.trim_end_matches(", ")
        ));
    }
    assert!(Document::parse_stream(&text).is_err());
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    assert!(Document::parse_stream(&text).is_err());
}
