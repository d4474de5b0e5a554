use super::*;

const VARIABLES: &str = r#"{
    "name": "x<y>", "n": 2023, "zero": 0, "f": 1.5, "yes": true, "no": false, "nil": null,
    "empty": "", "list": ["a", "b"], "none": [], "map": {"k": "v", "j": {"deep": 1}}
}"#;

fn rendered(template: &str) -> Option<Json> {
    result(&format!(
        "strings.render_template({}, {VARIABLES})",
        quoted(template)
    ))
}

#[test]
fn templates() {
    let rows = [
        ("Hi {{.name}}", "Hi x<y>"),
        ("{{.n}} {{.f}} {{.yes}}", "2023 1.5 true"),
        (
            "{{.gone}} {{.nil}} {{.gone.too}}",
            "<undefined> <undefined> <undefined>",
        ),
        ("a {{- .n -}} b", "a2023b"),
        ("a{{/* no */}}b {{- /* no */ -}} c", "abc"),
        ("{{.list}} {{.map}}", "[a b] map[j:map[deep:1] k:v]"),
        ("{{.map.j.deep}} {{$.map.k}} {{(index .list 1)}}", "1 v b"),
        (
            "{{range $i, $name := .list}}{{if $i}},{{end}}hello {{$name}}{{end}}",
            "hello a,hello b",
        ),
        ("{{range .list}}{{.}};{{end}}", "a;b;"),
        ("{{range $x := .list}}{{$x}}{{end}}", "ab"),
        ("{{range $k, $v := .map}}{{$k}} {{end}}", "j k "),
        ("{{range .none}}x{{else}}none{{end}}", "none"),
        ("{{range .gone}}x{{else}}none{{end}}", "none"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        (
            "{{range .list}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}",
            "a",
        ),
        (
            "{{range .list}}{{if eq . \"a\"}}{{continue}}{{end}}{{.}}{{end}}",
            "b",
        ),
        ("{{if .no}}1{{else if .yes}}2{{else}}3{{end}}", "2"),
        (
            "{{if .empty}}1{{else}}2{{end}}{{if .none}}1{{else}}2{{end}}",
            "22",
        ),
        // A number of JSON is a text, and not empty.
        ("{{if .zero}}1{{else}}2{{end}}", "1"),
        (
            "{{with .map}}{{.k}}{{end}}{{with .gone}}1{{else}}2{{end}}",
            "v2",
        ),
        (
            "{{with .gone}}1{{else with .list}}{{len .}}{{else}}3{{end}}",
            "2",
        ),
        ("{{$x := 1}}{{if .yes}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{$x := 1}}{{if .yes}}{{$x := 2}}{{end}}{{$x}}", "1"),
        (
            "{{define \"t\"}}[{{.}}{{$}}]{{end}}{{template \"t\" .n}}",
            "[20232023]",
        ),
        ("{{block \"b\" .map}}{{.k}}{{end}}", "v"),
        ("{{and .yes .empty}}{{or .empty .n}}{{not .no}}", "2023true"),
        ("{{or .yes .n.nothing}}", "true"),
        (
            "{{eq .name \"x<y>\"}} {{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{ge 1.5 1.5}}",
            "true true true true true",
        ),
        (
            "{{eq .n \"2023\"}} {{eq .n.Int64 2023}} {{eq .nil .gone}}",
            "true true true",
        ),
        (
            "{{len .list}} {{len .name}} {{index .map \"k\"}} {{index .map \"q\"}}",
            "2 4 v <undefined>",
        ),
        ("{{slice .name 1 3}} {{slice .list 1}}", "<y [b]"),
        (
            "{{printf \"%s-%5d|%t|%q|%v\" .name 7 .yes \"a\" .list}}",
            "x<y>-    7|true|\"a\"|[a b]",
        ),
        (
            "{{printf \"%d %s %v %T\" .n .gone .gone .n}}",
            "%!d(json.Number=2023) %!s(<nil>) <nil> json.Number",
        ),
        (
            "{{\"a\" | printf \"%s%s\" .n}} {{.name | html}} {{.name | js}} {{.name | urlquery}}",
            "2023a x&lt;y&gt; x\\u003Cy\\u003E x%3Cy%3E",
        ),
        (
            "{{print 1 2 \"a\" true}} {{println 1 \"a\"}}",
            "1 2atrue 1 a\n",
        ),
        (
            "{{'a'}} {{0x1F}} {{1_000}} {{-1.5}} {{1e3}} {{`r\\n`}} {{\"\\u00e9\\x41\\n\"}}",
            "97 31 1000 -1.5 1000 r\\n éA\n",
        ),
        ("{{ .name | len | printf \"%d\" }}", "4"),
        ("{{\"}}\"}}{{`{{`}}", "}}{{"),
        ("", ""),
    ];
    for (template, expected) in rows {
        assert_eq!(rendered(template), Some(json!(expected)), "{template}");
    }
}

#[test]
fn what_is_no_template() {
    let rows = [
        "{{",
        "{{.name",
        "{{.name}",
        "{{end}}",
        "{{if .yes}}",
        "{{else}}",
        "{{if}}{{end}}",
        "{{}}",
        "{{unknown}}",
        "{{$x}}",
        "{{$x = 1}}",
        "{{.name | 1}}",
        "{{nil}}",
        "{{1 2}}",
        "{{.name 1}}",
        "{{template \"t\"}}",
        "{{break}}",
        "{{\"a}}",
        "{{`a}}",
        "{{'ab'}}",
        "{{.name.x}}",
        "{{.nil.x}}",
        "{{index .list 2}}",
        "{{index .list -1}}",
        "{{index .list .n}}",
        "{{len 1}}",
        "{{eq 1 \"a\"}}",
        "{{eq .list .list}}",
        "{{lt .n 1}}",
        "{{range .name}}{{end}}",
        "{{(.name}}",
        "{{.name)}}",
        "{{not}}",
        "{{/* x}}",
        "{{range $a, $b := 3}}{{end}}",
        "{{1x}}",
        "{{.a$b}}",
        "{{slice .name 3 1}}",
        "{{define \"t\"}}a{{end}}{{define \"t\"}}b{{end}}",
        "{{printf .n}}",
        "{{if .yes}}{{else}}{{else}}{{end}}",
        "{{\"\\q\"}}",
        "{{!}}",
    ];
    for template in rows {
        assert_eq!(rendered(template), None, "{template}");
    }
    check_undefined(&[
        r#"strings.render_template("{{.a}}", {"a": {1}})"#,
        r#"strings.render_template("{{.a}}", {1: 1})"#,
        r#"strings.render_template("{{.a}}", [])"#,
        r#"strings.render_template(1, {})"#,
    ]);
}

#[test]
fn templates_that_take_too_long() {
    let rows = [
        "{{range 1000}}{{range 1000}}{{range 1000}}x{{end}}{{end}}{{end}}".to_owned(),
        "{{range 9999999}}{{end}}".to_owned(),
        "{{define \"t\"}}{{template \"t\"}}{{end}}{{template \"t\"}}".to_owned(),
        "{{if 1}}".repeat(200),
        format!("{{{{{}1}}}}", "(".repeat(200)),
        "{{printf \"%5000d\" 1}}".to_owned(),
    ];
    for template in rows {
        let why = refusal(&format!(
            "strings.render_template({}, {{}})",
            quoted(&template)
        ));
        assert!(why.contains("refused"), "{why}");
    }
    let why = refusal(
        "strings.render_template(concat(\"\", [x | some i in numbers.range(1, 300000); x := \"x\"]), {})",
    );
    assert!(why.contains("refused"), "{why}");
}

#[test]
fn texts_between_steps_are_bounded() {
    for function in [
        "print $x $x",
        "println $x $x",
        "printf \"%s%s\" $x $x",
        "html $x $x",
        "js $x $x",
        "urlquery $x $x",
    ] {
        let template =
            format!("{{{{$x := \"<ab>\"}}}}{{{{range 40}}}}{{{{$x = {function}}}}}{{{{end}}}}");
        let why = refusal(&format!(
            "strings.render_template({}, {{}})",
            quoted(&template)
        ));
        assert!(why.contains("refused"), "{function}: {why}");
    }
}
