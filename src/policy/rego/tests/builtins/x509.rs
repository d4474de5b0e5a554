use super::*;
use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;

/// Self-signed, with every extension that is read; the key is `EC_KEY` of `private_keys`.
pub(super) const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIFHzCCBMagAwIBAgIQAQIDBAUGBwgJCgsMDQ4PEDAKBggqhkjOPQQDAjCBwzEL\n\
MAkGA1UEBhMCREUxDzANBgNVBAgMBkJlcmxpbjEPMA0GA1UEBwwGQmVybGluMRAw\n\
DgYDVQQKDAdFeGFtcGxlMQwwCgYDVQQLDANPbmUxDDAKBgNVBAsMA1R3bzEXMBUG\n\
A1UEAwwOY2EuZXhhbXBsZS5jb20xCzAJBgNVBAUTAjQyMQ4wDAYDVQQRDAUxMDEx\n\
NTEPMA0GA1UECQwGUm9hZCAxMR0wGwYJKoZIhvcNAQkBFg5jYUBleGFtcGxlLmNv\n\
bTAgFw0yNjExMjIwNjMyNDFaGA8yMDU2MTExNDA2MzI0MVowgcMxCzAJBgNVBAYT\n\
AkRFMQ8wDQYDVQQIDAZCZXJsaW4xDzANBgNVBAcMBkJlcmxpbjEQMA4GA1UECgwH\n\
RXhhbXBsZTEMMAoGA1UECwwDT25lMQwwCgYDVQQLDANUd28xFzAVBgNVBAMMDmNh\n\
LmV4YW1wbGUuY29tMQswCQYDVQQFEwI0MjEOMAwGA1UEEQwFMTAxMTUxDzANBgNV\n\
BAkMBlJvYWQgMTEdMBsGCSqGSIb3DQEJARYOY2FAZXhhbXBsZS5jb20wWTATBgcq\n\
hkjOPQIBBggqhkjOPQMBBwNCAAQX8YUzVH2g+/DepBjOqn64f38tTQ185CiFmvRm\n\
MW0AQUyPBvf/Yi/yZAk8YycV9E1zob8H8Hw1sJh4cZqBJLRHo4ICljCCApIwEgYD\n\
VR0TAQH/BAgwBgEB/wIBADAOBgNVHQ8BAf8EBAMCAYYwGAYDVR0lBBEwDwYIKwYB\n\
BQUHAwEGAyoDBDAdBgNVHQ4EFgQUgFydamk0EVU5XEb5vMxyy8UGrSkwgZwGA1Ud\n\
EQSBlDCBkYILZXhhbXBsZS5jb22CDSouZXhhbXBsZS5vcmeBDWFAZXhhbXBsZS5j\n\
b22HBMAAAgGHECABDbgAAAAAAAAAAAAAAAGGInNwaWZmZTovL2V4YW1wbGUuY29t\n\
L25zL2ElMkZiL3NhL2OGKGh0dHBzOi8vdXNlcjpwYXNzQGV4YW1wbGUuY29tOjg0\n\
NDMveD9xPTEwXgYIKwYBBQUHAQEEUjBQMCQGCCsGAQUFBzABhhhodHRwOi8vb2Nz\n\
cC5leGFtcGxlLmNvbS8wKAYIKwYBBQUHMAKGHGh0dHA6Ly9jYS5leGFtcGxlLmNv\n\
bS9jYS5jcnQwUQYDVR0fBEowSDAioCCgHoYcaHR0cDovL2NybC5leGFtcGxlLmNv\n\
bS8xLmNybDAioCCgHoYcaHR0cDovL2NybC5leGFtcGxlLmNvbS8yLmNybDAZBgNV\n\
HSAEEjAQMAYGBCoDBAUwBgYEVR0gADAPBgNVHSQECDAGgAEAgQEDMAoGA1UdNgQD\n\
AgEBMBcGA1UdIQQQMA4wDAYEKgMEBQYEKgMEBjCBgQYDVR0eAQH/BHcwdaA6MA2C\n\
C2V4YW1wbGUuY29tMAqHCAoAAAD/AAAAMA2BC2V4YW1wbGUuY29tMA6GDC5leGFt\n\
cGxlLmNvbaE3MBGCD2JhZC5leGFtcGxlLmNvbTAihyAgAQ24AAAAAAAAAAAAAAAA\n\
/////wAAAAAAAAAAAAAAADAMBgMqAwUBAf8EAgUAMAoGCCqGSM49BAMCA0cAMEQC\n\
IFIoXKJyszndt8sDw+y1RtKKNakuufYqCc/97iMg5ILsAiAVixKrinrfGaEkHt+h\n\
Os7+QMy76ztLnjDw13N9EYpBgQ==\n\
-----END CERTIFICATE-----\n\n";

const REQUEST: &str = "\
-----BEGIN CERTIFICATE REQUEST-----\n\
MIIBQTCB6AIBADAYMRYwFAYDVQQDDA1hLmV4YW1wbGUuY29tMFkwEwYHKoZIzj0C\n\
AQYIKoZIzj0DAQcDQgAEF/GFM1R9oPvw3qQYzqp+uH9/LU0NfOQohZr0ZjFtAEFM\n\
jwb3/2Iv8mQJPGMnFfRNc6G/B/B8NbCYeHGagSS0R6BuMBUGCSqGSIb3DQEJBzEI\n\
DAZzZWNyZXQwVQYJKoZIhvcNAQkOMUgwRjAMBgNVHRMBAf8EAjAAMDYGA1UdEQQv\n\
MC2CDWEuZXhhbXBsZS5jb22HBMAAAgeGFnNwaWZmZTovL2V4YW1wbGUuY29tL2Ew\n\
CgYIKoZIzj0EAwIDSAAwRQIgeAMjjeLWnsAy3prwrGe5LBeXUNxMPbFspIjFRLtV\n\
F/0CIQCobP/Q448Pm/ojhNoIIkO8Zl6Gw7a98eaXYLkAArSwlw==\n\
-----END CERTIFICATE REQUEST-----\n\n";

/// The certificate without the members that hold bytes of it.
fn parsed(path: &str) -> Option<Json> {
    let text = quoted(CERTIFICATE);
    result(&format!("crypto.x509.parse_certificates({text})[0]{path}"))
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

pub(super) fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with('-'));
    STANDARD.decode(lines.collect::<String>()).unwrap()
}

#[test]
fn names_keys_and_times() {
    let rows = [
        (".Version", json!(3)),
        (".SignatureAlgorithm", json!(10)),
        (".PublicKeyAlgorithm", json!(3)),
        (".NotBefore", json!("2026-11-22T06:32:41Z")),
        (".NotAfter", json!("2056-11-14T06:32:41Z")),
        (".Subject.CommonName", json!("ca.example.com")),
        (".Subject.SerialNumber", json!("42")),
        (".Subject.Country", json!(["DE"])),
        (".Subject.Province", json!(["Berlin"])),
        (".Subject.Locality", json!(["Berlin"])),
        (".Subject.Organization", json!(["Example"])),
        (".Subject.OrganizationalUnit", json!(["One", "Two"])),
        (".Subject.PostalCode", json!(["10115"])),
        (".Subject.StreetAddress", json!(["Road 1"])),
        (".Subject.ExtraNames", json!(null)),
        (
            ".Subject.Names[10]",
            json!({"Type": [1, 2, 840, 113_549, 1, 9, 1], "Value": "ca@example.com"}),
        ),
        (".PublicKey.Curve", json!({})),
        (".ExtraExtensions", json!(null)),
    ];
    for (path, expected) in rows {
        assert_eq!(parsed(path), Some(expected), "{path}");
    }
    assert_eq!(parsed(".Issuer"), parsed(".Subject"));
    assert_eq!(
        parsed(".Raw"),
        Some(json!(STANDARD.encode(der(CERTIFICATE))))
    );
    let numbers = [
        (".SerialNumber", "1339673755198158349044581307228491536"),
        (
            ".PublicKey.X",
            "10829924976146033934803204773039378099972621394946992528634006099492600610881",
        ),
        (
            ".PublicKey.Y",
            "34628483719071488289829831388174060244241247634711030404581829214022412842055",
        ),
    ];
    for (path, number) in numbers {
        assert_eq!(
            parsed(&format!("{path} == {number}")),
            Some(json!(true)),
            "{path}"
        );
    }
}

#[test]
fn every_extension() {
    let rows = [
        (".KeyUsage", json!(1 | 1 << 5 | 1 << 6)),
        (".ExtKeyUsage", json!([1])),
        (".UnknownExtKeyUsage", json!([[1, 2, 3, 4]])),
        (".BasicConstraintsValid", json!(true)),
        (".IsCA", json!(true)),
        (".MaxPathLen", json!(0)),
        (".MaxPathLenZero", json!(true)),
        (".SubjectKeyId", json!("gFydamk0EVU5XEb5vMxyy8UGrSk=")),
        (".AuthorityKeyId", json!(null)),
        (".OCSPServer", json!(["http://ocsp.example.com/"])),
        (
            ".IssuingCertificateURL",
            json!(["http://ca.example.com/ca.crt"]),
        ),
        (
            ".CRLDistributionPoints",
            json!([
                "http://crl.example.com/1.crl",
                "http://crl.example.com/2.crl"
            ]),
        ),
        (".DNSNames", json!(["example.com", "*.example.org"])),
        (".EmailAddresses", json!(["a@example.com"])),
        (".IPAddresses", json!(["192.0.2.1", "2001:db8::1"])),
        (
            ".URIs",
            json!([
                {
                    "Scheme": "spiffe", "Opaque": "", "User": null, "Host": "example.com",
                    "Path": "/ns/a/b/sa/c", "RawPath": "/ns/a%2Fb/sa/c", "OmitHost": false,
                    "ForceQuery": false, "RawQuery": "", "Fragment": "", "RawFragment": ""
                },
                {
                    "Scheme": "https", "Opaque": "", "User": {}, "Host": "example.com:8443",
                    "Path": "/x", "RawPath": "", "OmitHost": false,
                    "ForceQuery": false, "RawQuery": "q=1", "Fragment": "", "RawFragment": ""
                }
            ]),
        ),
        (
            ".URIStrings",
            json!([
                "spiffe://example.com/ns/a%2Fb/sa/c",
                "https://user:pass@example.com:8443/x?q=1"
            ]),
        ),
        (".PermittedDNSDomainsCritical", json!(true)),
        (".PermittedDNSDomains", json!(["example.com"])),
        (".ExcludedDNSDomains", json!(["bad.example.com"])),
        (
            ".PermittedIPRanges",
            json!([{"IP": "10.0.0.0", "Mask": "/wAAAA=="}]),
        ),
        (
            ".ExcludedIPRanges",
            json!([{"IP": "2001:db8::", "Mask": "/////wAAAAAAAAAAAAAAAA=="}]),
        ),
        (".PermittedEmailAddresses", json!(["example.com"])),
        (".ExcludedEmailAddresses", json!(null)),
        (".PermittedURIDomains", json!([".example.com"])),
        (".ExcludedURIDomains", json!(null)),
        (
            ".PolicyIdentifiers",
            json!([[1, 2, 3, 4, 5], [2, 5, 29, 32, 0]]),
        ),
        (".Policies", json!(["1.2.3.4.5", "2.5.29.32.0"])),
        (
            ".PolicyMappings",
            json!([{"IssuerDomainPolicy": "1.2.3.4.5", "SubjectDomainPolicy": "1.2.3.4.6"}]),
        ),
        (".InhibitAnyPolicy", json!(1)),
        (".InhibitAnyPolicyZero", json!(false)),
        (".InhibitPolicyMapping", json!(3)),
        (".InhibitPolicyMappingZero", json!(false)),
        (".RequireExplicitPolicy", json!(0)),
        (".RequireExplicitPolicyZero", json!(true)),
        (".UnhandledCriticalExtensions", json!([[1, 2, 3, 5]])),
        (
            ".Extensions[0]",
            json!({"Id": [2, 5, 29, 19], "Critical": true, "Value": "MAYBAf8CAQA="}),
        ),
    ];
    for (path, expected) in rows {
        assert_eq!(parsed(path), Some(expected), "{path}");
    }
}

#[test]
fn a_certificate_has_the_members_that_opa_shows() {
    let members = result(&format!(
        "object.keys(crypto.x509.parse_certificates({})[0])",
        quoted(CERTIFICATE)
    ));
    assert_eq!(members.unwrap().as_array().unwrap().len(), 53);
}

#[test]
fn texts_that_certificates_are_read_from() {
    let double = [der(CERTIFICATE), der(CERTIFICATE)].concat();
    let rows = [
        (CERTIFICATE.to_owned(), 1),
        (CERTIFICATE.replace('\n', "\r\n"), 1),
        (format!("{CERTIFICATE}text between\n{CERTIFICATE}"), 2),
        (base64(CERTIFICATE), 1),
        (STANDARD.encode(double), 2),
        // Nothing is no certificate, and no error.
        (String::new(), 0),
        ("-----BEGIN nothing".to_owned(), 0),
    ];
    for (text, count) in rows {
        let text = quoted(&text);
        let expression = format!("count(crypto.x509.parse_certificates({text}))");
        assert_eq!(result(&expression), Some(json!(count)), "{text}");
    }
}

#[test]
fn texts_that_are_no_certificates() {
    let der = der(CERTIFICATE);
    let broken = |at: usize, byte: u8| {
        let mut der = der.clone();
        der[at] = byte;
        STANDARD.encode(der)
    };
    let rows = [
        "foobar".to_owned(),
        base64("badstring"),
        format!(" {CERTIFICATE}"),
        CERTIFICATE.replace("CERTIFICATE", "PUBLIC KEY"),
        STANDARD.encode(&der[1..]),
        STANDARD.encode(&der[..der.len() - 1]),
        STANDARD.encode([der.as_slice(), &[0]].concat()),
        // The outer length, the version, the serial number's sign, the time's month.
        broken(3, 0),
        broken(12, 7),
        broken(15, 0x80),
        REQUEST.to_owned(),
    ];
    for text in rows {
        let text = quoted(&text);
        for name in [
            "parse_certificates({})",
            "parse_certificate_request({})",
            "parse_keypair({}, \"\")",
        ] {
            if name.contains("request") && text.contains("REQUEST") {
                continue;
            }
            let call = format!("crypto.x509.{}", name.replace("{}", &text));
            assert_eq!(result(&call), None, "{call}");
        }
        let call = format!("crypto.x509.parse_and_verify_certificates({text})");
        assert_eq!(result(&call), Some(json!([false, []])), "{call}");
    }
    check_undefined(&[
        "crypto.x509.parse_certificates(1)",
        "crypto.x509.parse_and_verify_certificates([])",
        "crypto.x509.parse_certificate_request(null)",
    ]);
}

#[test]
fn texts_that_would_take_too_long() {
    let repeated = |text: &str, count: usize| {
        let text = quoted(text);
        format!("concat(\"\", [{text} | numbers.range(1, {count})[_]])")
    };
    let rows = [
        (repeated(CERTIFICATE, 600), "of more than 1048576 bytes"),
        (
            repeated("-----BEGIN X-----\nAA\n", 22),
            "more than 20 broken blocks",
        ),
    ];
    for (text, reason) in rows {
        for name in ["parse_certificates", "parse_and_verify_certificates"] {
            let reply = refusal(&format!("crypto.x509.{name}({text})"));
            assert!(reply.contains(reason), "{name}: {reply}");
        }
    }
}

/// Calls a built-in with a DER that is right, and in every byte of which something is wrong: nothing
/// may panic.
pub(super) fn call_with_broken(call: &str, der: &[u8]) {
    let text = format!("{{\"allowed\": count({call}) > 0}}");
    let policies = answering(&text.replace("{}", "input.attributes.request.http.path"));
    let ask = |der: &[u8]| {
        let path = STANDARD.encode(der);
        let attributes = http(HttpRequest {
            path,
            ..HttpRequest::default()
        });
        ask(&policies, &attributes)
    };
    assert!(ask(der).unwrap().allowed, "{call}");
    for at in 0..der.len() {
        for change in [0x01, 0x80] {
            let mut der = der.to_vec();
            der[at] ^= change;
            let _either = ask(&der);
        }
    }
}

#[test]
fn broken_bytes() {
    call_with_broken("crypto.x509.parse_certificates({})", &der(CERTIFICATE));
    call_with_broken("crypto.x509.parse_certificate_request({})", &der(REQUEST));
    let double = [der(CERTIFICATE), der(CERTIFICATE)].concat();
    call_with_broken("crypto.x509.parse_and_verify_certificates({})", &double);
}

#[test]
fn requests() {
    for text in [
        REQUEST.to_owned(),
        base64(REQUEST),
        STANDARD.encode(der(REQUEST)),
    ] {
        let request = format!("crypto.x509.parse_certificate_request({})", quoted(&text));
        let rows = [
            (".Version", json!(0)),
            (".Subject.CommonName", json!("a.example.com")),
            (".SignatureAlgorithm", json!(10)),
            (".PublicKeyAlgorithm", json!(3)),
            (".DNSNames", json!(["a.example.com"])),
            (".EmailAddresses", json!(null)),
            (".IPAddresses", json!(["192.0.2.7"])),
            (".URIs[0].Host", json!("example.com")),
            (
                ".Extensions[0]",
                json!({"Id": [2, 5, 29, 19], "Critical": true, "Value": "MAA="}),
            ),
            // The challenge password has another form and is left out.
            (
                ".Attributes",
                json!([{
                    "Type": [1, 2, 840, 113_549, 1, 9, 14],
                    "Value": [[
                        {"Type": [2, 5, 29, 19], "Value": true},
                        {
                            "Type": [2, 5, 29, 17],
                            "Value": "MC2CDWEuZXhhbXBsZS5jb22HBMAAAgeGFnNwaWZmZTovL2V4YW1wbGUuY29tL2E="
                        }
                    ]]
                }]),
            ),
        ];
        for (path, expected) in rows {
            assert_eq!(
                result(&format!("{request}{path}")),
                Some(expected),
                "{path}"
            );
        }
        let members = result(&format!("count(object.keys({request}))"));
        assert_eq!(members, Some(json!(17)));
    }
}
