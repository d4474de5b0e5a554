use super::*;

#[test]
fn paths_through_graphs() {
    let cyclic = r#"{
        "one": ["two", "five"], "two": ["four"], "three": [""], "four": ["three"],
        "five": ["seven", "six"], "six": ["nine", "seven"], "seven": ["eight"],
        "eight": ["three"], "nine": [""]
    }"#;
    check(&[
        (
            &format!("graph.reachable_paths({cyclic}, [\"one\"])"),
            json!([
                ["one", "five", "seven", "eight", "three"],
                ["one", "five", "six"],
                ["one", "five", "six", "nine"],
                ["one", "two", "four", "three"],
            ]),
        ),
        (
            r#"graph.reachable_paths({"a": {"a"}, "b": null}, ["a", "b", "c"])"#,
            json!([["a", "a"], ["b"]]),
        ),
    ]);
    check_undefined(&[
        "graph.reachable_paths(1, [])",
        "graph.reachable_paths({}, \"a\")",
    ]);
}

#[test]
fn graphs_with_too_many_paths() {
    // Each vertex leads to every later one.
    let vertices: Vec<_> = (0..60)
        .map(|from| {
            let edges: Vec<_> = (from + 1..60).map(|to: u32| to.to_string()).collect();
            format!("{from}: [{}]", edges.join(", "))
        })
        .collect();
    let graph = format!("{{{}}}", vertices.join(", "));
    let _ = call(&format!("count(graph.reachable_paths({graph}, [0]))"));
    let long: Vec<_> = (0..1_500).map(|at| format!("{at}: [{}]", at + 1)).collect();
    let why = refusal(&format!(
        "graph.reachable_paths({{{}}}, [0])",
        long.join(", ")
    ));
    assert!(why.contains("refused"), "{why}");
}
