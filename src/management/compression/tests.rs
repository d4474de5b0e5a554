//! Which callers take gzip.

use super::*;

#[test]
fn who_takes_gzip() {
    let rows: [(&[&str], bool); 11] = [
        (&["gzip"], true),
        (&["GZip"], true),
        (&["deflate, gzip;q=0.5, br"], true),
        (&["br", "gzip"], true),
        (&["gzip ; q=1.0"], true),
        (&["gzip;q=0"], false),
        (&["gzip;q=0.000"], false),
        (&["gzip;q=x"], false),
        (&["x-gzipped"], false),
        (&["*"], false),
        (&[], false),
    ];
    for (values, expected) in rows {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT_ENCODING, value.parse().unwrap());
        }
        assert_eq!(takes_gzip(&headers), expected, "{values:?}");
    }
}
