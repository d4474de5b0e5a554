//! Nothing secret is shown.

use super::*;
use crate::decision_log::entry::{Editor, Entry};
use crate::decision_log::mask::Masking;

const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpIn0.c2lnbmF0dXJl";

#[test]
fn headers() {
    let own = Mask::new(&["X-Session".to_owned()]);
    let rows = [
        ("authorization", "Bearer a", "**"),
        ("Authorization", "Basic dTpw", "**"),
        ("proxy-authorization", "Basic dTpw", "**"),
        ("cookie", "a=b", "**"),
        ("set-cookie", "a=b", "**"),
        ("x-api-key", "k", "**"),
        ("x-my-token", "t", "**"),
        ("X-Amz-Security-Token", "t", "**"),
        ("x-hub-signature-256", "sha256=a", "**"),
        ("x-client-secret", "s", "**"),
        ("x-forwarded-client-cert", "By=spiffe://td/a", "**"),
        ("x-session", "s", "**"),
        ("x-other", TOKEN, "**"),
        ("x-other", &format!("prefix {TOKEN} suffix"), "**"),
        ("x-other", &TOKEN.replace('.', "%2e"), "**"),
        ("x-other", "plain", "plain"),
        ("x-sess", "s", "s"),
        (":authority", "shop.example", "shop.example"),
        // A URL holds parameters wherever it stands.
        (":path", "/a?access_token=s&b=c", "/a?access_token=**&b=c"),
        (
            "referer",
            "https://a/b?access_token=s&b=c",
            "https://a/b?access_token=**&b=c",
        ),
        ("x-envoy-original-path", "/b?code=s", "/b?code=**"),
        ("referer", "https://a/b?c=d", "https://a/b?c=d"),
    ];
    for (name, value, expected) in rows {
        assert_eq!(own.header(name, value), expected, "{name}: {value}");
    }
}

/// What was shown of one header is not shown of another for that.
#[test]
fn what_is_known_of_values_holds_for_their_headers_only() {
    let mut masking = Masking::new(Mask::default());
    for _ in 0..2 {
        for (name, value, expected) in [
            ("x-a", "/a?b=c", "/a?b=c"),
            ("x-a", "plain", "plain"),
            ("authorization", "plain", "**"),
            ("x-my-token", "/a?b=c", "**"),
            ("x-a", "password:c4n4ry", "**"),
            ("host", "u@h", "**@h"),
            ("x-a", "u@h", "u@h"),
            (":authority", "u@h", "**@h"),
            (":path", "/a?code=s", "/a?code=**"),
        ] {
            assert_eq!(masking.header(name, value), expected, "{name}: {value}");
        }
    }
    // However many there are.
    for number in 0..5_000 {
        let value = format!("value-{number}");
        assert_eq!(masking.header("x-a", &value), value);
    }
}

#[test]
fn targets() {
    let own = Mask::new(&["Session".to_owned()]);
    let escaped = TOKEN.replace('.', "%2E").replacen("eyJ", "%65yJ", 2);
    let in_path = format!("/reset/{TOKEN}/x");
    let rows = [
        ("/a", "/a".to_owned()),
        ("/a?", "/a?".to_owned()),
        ("/a?b=c&d", "/a?b=c&d".to_owned()),
        ("/a?access_token=s", "/a?access_token=**".to_owned()),
        (
            "/a?x=1&access_token=s&y=2",
            "/a?x=1&access_token=**&y=2".to_owned(),
        ),
        ("/a?ACCESS_TOKEN=s", "/a?ACCESS_TOKEN=**".to_owned()),
        ("/a?access%5ftoken=s", "/a?access%5ftoken=**".to_owned()),
        (
            "/a?access_token=s&access_token=t",
            "/a?access_token=**&access_token=**".to_owned(),
        ),
        ("/a?access_token=s=t", "/a?access_token=**".to_owned()),
        ("/a?access_token=", "/a?access_token=**".to_owned()),
        (
            "/a?code=s&sig=s&key=s&auth=s&jwt=s",
            "/a?code=**&sig=**&key=**&auth=**&jwt=**".to_owned(),
        ),
        ("/a?X-Amz-Signature=s", "/a?X-Amz-Signature=**".to_owned()),
        (
            "/a?password=s&passwd=s&api_key=s",
            "/a?password=**&passwd=**&api_key=**".to_owned(),
        ),
        ("/a?session=s", "/a?session=**".to_owned()),
        (
            "/a?zip_code=1&keyword=2",
            "/a?zip_code=1&keyword=2".to_owned(),
        ),
        (&format!("/a?b={TOKEN}"), "/a?b=**".to_owned()),
        (&format!("/a?{TOKEN}"), "/a?**".to_owned()),
        // Escapes do not hide one, nor do separators that only some readers know.
        (&format!("/a?b={escaped}"), "/a?b=**".to_owned()),
        (&format!("/a?b=c;d={escaped}"), "/a?b=c;d=**".to_owned()),
        (&format!("/{escaped}/a"), "/**/a".to_owned()),
        ("/a?b=c;access_token=s", "/a?b=c;access_token=**".to_owned()),
        ("/a?access_token=s;b=c", "/a?access_token=**".to_owned()),
        // What stands behind the second question mark, or the fragment, is no less secret.
        ("/a?b=c?access_token=s", "/a?b=c?access_token=**".to_owned()),
        ("/a?b=c#access_token=s", "/a?b=c#access_token=**".to_owned()),
        ("/a#access_token=s", "/a#access_token=**".to_owned()),
        (&in_path, "/reset/**/x".to_owned()),
    ];
    for (target, expected) in rows {
        assert_eq!(own.target(target), expected, "{target}");
    }
}

/// All that a block would hold of a request, before it is compressed.
fn stored(request: HttpRequest) -> String {
    let queue = queue_that(Overflow::Count);
    put(&queue, &record(request));
    let taken = queue.take(Duration::ZERO);
    let mut text = String::new();
    for (head, request) in taken.chunks[0].records() {
        let mut put = |entry: &Entry<'_>| {
            text = format!("{entry:?} {}", String::from_utf8_lossy(entry.details));
        };
        Editor::new(Mask::default(), Scope::default())
            .edit(head, request, &mut put)
            .unwrap();
    }
    text
}

/// A token is not to be found anywhere in an entry, wherever a request carries it.
#[test]
fn a_token_is_nowhere_in_a_record() {
    let path = format!("/{TOKEN}?a={TOKEN}&access_token=opaque-s3cret");
    let headers = [
        ("authorization", "Bearer opaque-s3cret"),
        ("cookie", "session=opaque-s3cret"),
        ("referer", "https://a/?access_token=opaque-s3cret"),
        ("traceparent", TOKEN),
        ("x-any", TOKEN),
        ("x-request-id", TOKEN),
        (":path", &path),
    ];
    let text = stored(http(&path, &headers));
    assert!(!text.contains("eyJ"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    // Line by line as well.
    let raw = headers.map(|(name, value)| (name.to_owned(), Bytes::from(value.to_owned())));
    let mut request = http("/", &[]);
    request.headers = Headers::new(Pairs::new(), Some(raw.to_vec()));
    let text = stored(request);
    assert!(!text.contains("eyJ"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}
