use super::x509::{CERTIFICATE, call_with_broken, der};
use super::*;
use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;

const EC_KEY: &str = "\
-----BEGIN EC PRIVATE KEY-----\n\
MHcCAQEEICH99TEFG1dCZzyKG2uyrq9+1QSG6DN5pwrJoM9qfXqloAoGCCqGSM49\n\
AwEHoUQDQgAEF/GFM1R9oPvw3qQYzqp+uH9/LU0NfOQohZr0ZjFtAEFMjwb3/2Iv\n\
8mQJPGMnFfRNc6G/B/B8NbCYeHGagSS0Rw==\n\
-----END EC PRIVATE KEY-----\n\n";

const EC_PKCS8_KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIf31MQUbV0JnPIob\n\
a7Kur37VBIboM3mnCsmgz2p9eqWhRANCAAQX8YUzVH2g+/DepBjOqn64f38tTQ18\n\
5CiFmvRmMW0AQUyPBvf/Yi/yZAk8YycV9E1zob8H8Hw1sJh4cZqBJLRH\n\
-----END PRIVATE KEY-----\n\n";

const ED25519_KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEINYm1s13RSCq+uZ/ulvsnDorIabkJ1Q/qhD1opyylkqA\n\
-----END PRIVATE KEY-----\n\n";

const X25519_KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VuBCIEIJgn6R74jIgVxMBWfBK45ywlZmibTKdJb8GcmegVnmli\n\
-----END PRIVATE KEY-----\n\n";

const RSA_KEY: &str = "\
-----BEGIN RSA PRIVATE KEY-----\n\
MIICXQIBAAKBgQDBA7zuBNFdOB9YJi41x0hlfxAewitCrNpqiKLmbRl5u9U+Cxsc\n\
RMMmUj3qhT1WpsffktEAYkybXi76Jb6DHNG9dFCxUm3i+2KzcjPOE0oStV9qnrNv\n\
KvlhLY0nWXJDWnKMKZiEJ2ZdZIAGd5kozrNMDJpQneFhNYXGrIXpSj1gEQIDAQAB\n\
AoGAY5kkMsZ1qt68/eWlzsZoy0cH8HdNj3hWtMaRGMqPbMvKO9vLP4kUEoA5xvy+\n\
LCqf1PSTuNkAouO05gv4BPwoFe94b9Fq8lj8idCPZ4N0Ov+wmFaHiATtvDhMINJI\n\
KEC1AgipoPy9zg5E5Gcbs1R7QnnXeJv4sOJ/v6tl25S0EkkCQQDo6NRaRCwXI47k\n\
uVgR/6pnt3YMQms1dcYqBQTMOnxCx8zCCcU6SlbI7QeJFd8o8LB3q/VNbPYS745r\n\
a5hqE1XDAkEA1CZjfPqtN7x+rAV5gtBsDwKoeHZizovB2OkRKv+HcBrDDkPlnvOU\n\
yR91WxCdcf4VxGzcrGtrP0mFGHiRvueRmwJBALSwZIX+22G8IVBKhgu4l9/M0ZUj\n\
Nf8MdocEy7sRKHO6g5yJbewR3hAU60KrqCwfxhehXTYK8UCxfoDRwTWR+HcCQEDr\n\
inBZaZ5vwTe06S09yIODZbiPScc4/1X4ZHeLAJAusFfyMRdGJNazGL+IQxX6EgEs\n\
6w6cRJJ2VhNZ+ge4Z1cCQQCkaVGEBiRBIXecL+SIH3n9TOlfRcVwoehDnqFPeh/h\n\
LP0b0WLr9JBsmh60XkCYRRHRiDKhxddn4q7543JiW/vv\n\
-----END RSA PRIVATE KEY-----\n\n";

fn keys(text: &str) -> String {
    format!("crypto.parse_private_keys({})", quoted(text))
}

fn jwk(text: &str) -> String {
    format!("crypto.x509.parse_rsa_private_key({})", quoted(text))
}

/// A DER with one byte changed, as PEM.
fn broken(pem: &str, label: &str, at: usize) -> String {
    let mut der = der(pem);
    der[at] ^= 1;
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

#[test]
fn keys_of_every_kind() {
    let ec = "{\"Curve\": {}, \
        \"X\": 10829924976146033934803204773039378099972621394946992528634006099492600610881, \
        \"Y\": 34628483719071488289829831388174060244241247634711030404581829214022412842055, \
        \"D\": 15375028560066881264748163331413636403922757996338444353748189993864645147301}";
    let ed = "\"1ibWzXdFIKr65n+6W+ycOishpuQnVD+qEPWinLKWSoAOElvF6MCDrqgSpc7AdaD+jnSXsIKxhElXifyFPvTOIw==\"";
    let all = [EC_KEY, CERTIFICATE, ED25519_KEY, X25519_KEY].concat();
    let rows = [
        (EC_KEY.to_owned(), format!("[{ec}]")),
        (EC_PKCS8_KEY.to_owned(), format!("[{ec}]")),
        (ED25519_KEY.to_owned(), format!("[{ed}]")),
        (X25519_KEY.to_owned(), "[{}]".to_owned()),
        (STANDARD.encode(EC_KEY), format!("[{ec}]")),
        (all, format!("[{ec}, {ed}, {{}}]")),
        (CERTIFICATE.to_owned(), "[]".to_owned()),
        ("nope".to_owned(), "[]".to_owned()),
        (String::new(), "null".to_owned()),
    ];
    for (text, expected) in rows {
        let expression = format!("{} == {expected}", keys(&text));
        assert_eq!(result(&expression), Some(json!(true)), "{expression}");
    }
}

#[test]
fn keys_of_rsa() {
    let key = format!("{}[0]", keys(RSA_KEY));
    let rows = [
        (
            format!("object.keys({key})"),
            json!(["D", "E", "N", "Precomputed", "Primes"]),
        ),
        (format!("{key}.E"), json!(65537)),
        (format!("count({key}.Primes)"), json!(2)),
        (format!("{key}.Precomputed.CRTValues"), json!([])),
        (
            format!("{key}.Primes[0] * {key}.Primes[1] == {key}.N"),
            json!(true),
        ),
        (
            format!("({key}.Precomputed.Qinv * {key}.Primes[1]) % {key}.Primes[0]"),
            json!(1),
        ),
        (
            format!("{key}.D % ({key}.Primes[0] - 1) == {key}.Precomputed.Dp"),
            json!(true),
        ),
        (
            format!("{key}.D % ({key}.Primes[1] - 1) == {key}.Precomputed.Dq"),
            json!(true),
        ),
    ];
    for (expression, expected) in rows {
        assert_eq!(result(&expression), Some(expected), "{expression}");
    }
}

#[test]
fn keys_as_json_web_keys() {
    let ec = json!({
        "kty": "EC", "crv": "P-256",
        "x": "F_GFM1R9oPvw3qQYzqp-uH9_LU0NfOQohZr0ZjFtAEE",
        "y": "TI8G9_9iL_JkCTxjJxX0TXOhvwfwfDWwmHhxmoEktEc",
        "d": "If31MQUbV0JnPIoba7Kur37VBIboM3mnCsmgz2p9eqU"
    });
    let okp = |curve: &str, d: &str, x: &str| json!({"kty": "OKP", "crv": curve, "d": d, "x": x});
    let ed = okp(
        "Ed25519",
        "1ibWzXdFIKr65n-6W-ycOishpuQnVD-qEPWinLKWSoA",
        "DhJbxejAg66oEqXOwHWg_o50l7CCsYRJV4n8hT70ziM",
    );
    let x = okp(
        "X25519",
        "mCfpHviMiBXEwFZ8ErjnLCVmaJtMp0lvwZyZ6BWeaWI",
        "gAvijO24Uo0_3bi6V_RtH7ZDx_VQjkZpj28gZNCsYBc",
    );
    let rows = [
        (EC_KEY.to_owned(), Some(ec.clone())),
        (EC_PKCS8_KEY.to_owned(), Some(ec.clone())),
        (STANDARD.encode(EC_KEY), Some(ec.clone())),
        ([EC_KEY, ED25519_KEY].concat(), Some(ec)),
        (ED25519_KEY.to_owned(), Some(ed)),
        (X25519_KEY.to_owned(), Some(x)),
        (CERTIFICATE.to_owned(), Some(json!(null))),
        (STANDARD.encode("nope"), Some(json!(null))),
        ("nope!".to_owned(), None),
        (String::new(), None),
    ];
    for (text, expected) in rows {
        assert_eq!(result(&jwk(&text)), expected, "{text}");
    }
    let rsa = result(&jwk(RSA_KEY)).unwrap();
    assert_eq!(rsa["kty"], json!("RSA"));
    assert_eq!(rsa["e"], json!("AQAB"));
    assert_eq!(rsa.as_object().unwrap().len(), 9);
}

/// One broken key spoils the text, and what is wrong is not told.
#[test]
fn broken_keys() {
    let rows = [
        // A digit of the modulus, of d, of the first prime and of what follows from them.
        broken(RSA_KEY, "RSA PRIVATE KEY", 40),
        broken(RSA_KEY, "RSA PRIVATE KEY", 200),
        broken(RSA_KEY, "RSA PRIVATE KEY", 320),
        broken(RSA_KEY, "RSA PRIVATE KEY", 450),
        // The version, the curve, the kind of the key.
        broken(EC_KEY, "EC PRIVATE KEY", 4),
        broken(EC_KEY, "EC PRIVATE KEY", 48),
        broken(EC_PKCS8_KEY, "PRIVATE KEY", 12),
        broken(ED25519_KEY, "PRIVATE KEY", 11),
        // The label of another form.
        EC_KEY.replace("EC PRIVATE", "PRIVATE"),
        ED25519_KEY.replace("PRIVATE", "EC PRIVATE"),
        EC_KEY.replace("EC PRIVATE", "RSA PRIVATE"),
    ];
    for text in rows {
        assert_eq!(result(&keys(&text)), None, "{text}");
        assert_eq!(result(&jwk(&text)), None, "{text}");
        assert_eq!(result(&keys(&[EC_KEY, &text].concat())), None, "{text}");
    }
    check_undefined(&[
        "crypto.parse_private_keys(1)",
        "crypto.x509.parse_rsa_private_key([])",
    ]);
}

#[test]
fn broken_bytes() {
    let certificate = quoted(CERTIFICATE);
    let pair = format!("crypto.x509.parse_keypair({certificate}, {{}})");
    for key in [EC_KEY, EC_PKCS8_KEY] {
        call_with_broken(&pair, &der(key));
    }
    let key = "concat(\"\", [\"-----BEGIN LABEL-----\\n\", {}, \"\\n-----END LABEL-----\"])";
    for (key_text, label) in [
        (ED25519_KEY, "PRIVATE KEY"),
        (X25519_KEY, "PRIVATE KEY"),
        (RSA_KEY, "RSA PRIVATE KEY"),
    ] {
        let key = key.replace("LABEL", label);
        call_with_broken(&format!("crypto.parse_private_keys({key})"), &der(key_text));
    }
}

#[test]
fn pairs() {
    let pair = |certificate: &str, key: &str| {
        let (certificate, key) = (quoted(certificate), quoted(key));
        result(&format!("crypto.x509.parse_keypair({certificate}, {key})"))
    };
    let der = |pem: &str| STANDARD.encode(der(pem));
    let base64 = |text: &str| STANDARD.encode(text);
    let good = [
        (CERTIFICATE.to_owned(), EC_KEY.to_owned()),
        (CERTIFICATE.to_owned(), EC_PKCS8_KEY.to_owned()),
        (base64(CERTIFICATE), base64(EC_KEY)),
        (der(CERTIFICATE), der(EC_KEY)),
        // Of several certificates the first; of several blocks the first key.
        (
            CERTIFICATE.repeat(2),
            [CERTIFICATE, EC_KEY, RSA_KEY].concat(),
        ),
        (
            ["x", EC_KEY, CERTIFICATE].concat().replacen('x', "", 1),
            EC_KEY.to_owned(),
        ),
    ];
    for (certificate, key) in &good {
        let pair = pair(certificate, key).unwrap_or_else(|| panic!("{certificate} {key}"));
        assert_eq!(pair["Certificate"][0], json!(der(CERTIFICATE)));
        assert_eq!(pair["Leaf"]["Raw"], json!(der(CERTIFICATE)));
        assert_eq!(pair["Leaf"].get("URIStrings"), None);
        assert_eq!(pair["PrivateKey"]["Curve"], json!({}));
        assert_eq!(pair["OCSPStaple"], json!(null));
        assert_eq!(pair.as_object().unwrap().len(), 6);
    }
    let bad = [
        (CERTIFICATE.to_owned(), RSA_KEY.to_owned()),
        (CERTIFICATE.to_owned(), ED25519_KEY.to_owned()),
        (CERTIFICATE.to_owned(), X25519_KEY.to_owned()),
        (CERTIFICATE.to_owned(), CERTIFICATE.to_owned()),
        (EC_KEY.to_owned(), EC_KEY.to_owned()),
        (String::new(), EC_KEY.to_owned()),
        (CERTIFICATE.to_owned(), String::new()),
        (CERTIFICATE.to_owned(), "!".to_owned()),
    ];
    for (certificate, key) in &bad {
        assert_eq!(pair(certificate, key), None, "{certificate} {key}");
    }
}
