use super::*;

#[test]
fn digests_and_codes() {
    check(&[
        (
            "crypto.md5(\"\")",
            json!("d41d8cd98f00b204e9800998ecf8427e"),
        ),
        (
            "crypto.md5(\"abc\")",
            json!("900150983cd24fb0d6963f7d28e17f72"),
        ),
        (
            "crypto.sha1(\"abc\")",
            json!("a9993e364706816aba3e25717850c26c9cd0d89d"),
        ),
        (
            "crypto.sha256(\"abc\")",
            json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ),
        // RFC 2202 and RFC 4231, second test case of each.
        (
            "crypto.hmac.md5(\"what do ya want for nothing?\", \"Jefe\")",
            json!("750c783e6ab0b503eaa86e310a5db738"),
        ),
        (
            "crypto.hmac.sha1(\"what do ya want for nothing?\", \"Jefe\")",
            json!("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ),
        (
            "crypto.hmac.sha256(\"what do ya want for nothing?\", \"Jefe\")",
            json!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ),
        (
            "count(crypto.hmac.sha512(\"what do ya want for nothing?\", \"Jefe\"))",
            json!(128),
        ),
        ("crypto.hmac.equal(\"ab\", \"ab\")", json!(true)),
        ("crypto.hmac.equal(\"ab\", \"ac\")", json!(false)),
        ("crypto.hmac.equal(\"ab\", \"abc\")", json!(false)),
    ]);
    check_undefined(&[
        "crypto.md5(1)",
        "crypto.sha256([\"abc\"])",
        "crypto.hmac.sha256(\"abc\", 1)",
        "crypto.hmac.md5(null, \"k\")",
        "crypto.hmac.equal(\"a\", 1)",
    ]);
}

#[test]
fn keys_as_long_as_a_block_and_longer() {
    let code = |length| {
        result(&format!(
            "crypto.hmac.md5(\"m\", \"{}\")",
            "k".repeat(length)
        ))
    };
    assert_eq!(code(64), Some(json!("6411ef0a1a2b26701e4eac25e07d2702")));
    assert_eq!(code(80), Some(json!("e6d45168817ba47badfb6d81520bbbb2")));
}
