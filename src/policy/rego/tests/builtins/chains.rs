//! Chains of certificates that are made here.

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType, date_time_ymd,
};

use super::*;

/// A certificate, and the key that it is for.
struct Node {
    parameters: CertificateParams,
    key: KeyPair,
    pem: String,
}

type Change = fn(&mut CertificateParams);

fn unchanged(_: &mut CertificateParams) {}

/// A certificate of a name under another, or of its own.
fn node(name: &str, parent: Option<&Node>, change: Change) -> Node {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    change(&mut parameters);
    let key = KeyPair::generate().unwrap();
    let certificate = match parent {
        Some(parent) => {
            let issuer = Issuer::from_params(&parent.parameters, &parent.key);
            parameters.signed_by(&key, &issuer)
        }
        None => parameters.self_signed(&key),
    };
    Node {
        pem: certificate.unwrap().pem(),
        parameters,
        key,
    }
}

fn authority(parameters: &mut CertificateParams) {
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

fn server(parameters: &mut CertificateParams) {
    let names = ["a.example.com", "*.example.org"];
    parameters.subject_alt_names = names
        .map(|name| SanType::DnsName(name.try_into().unwrap()))
        .to_vec();
    parameters
        .subject_alt_names
        .push(SanType::IpAddress([192, 0, 2, 1].into()));
}

/// Root, intermediate and leaf, each with a change of its own behind the usual.
fn three(root: Change, intermediate: Change, leaf: Change) -> [Node; 3] {
    let root = node("root", None, root);
    let intermediate = node("intermediate", Some(&root), intermediate);
    let leaf = node("leaf", Some(&intermediate), leaf);
    [root, intermediate, leaf]
}

fn text(nodes: &[&Node]) -> String {
    let texts: Vec<_> = nodes.iter().map(|node| node.pem.as_str()).collect();
    quoted(&texts.concat())
}

/// Names of the chain's certificates; `None` if it does not hold.
fn verified(nodes: &[&Node]) -> Option<Json> {
    let call = format!("crypto.x509.parse_and_verify_certificates({})", text(nodes));
    names_in(&call)
}

fn verified_with(nodes: &[&Node], options: &str) -> Option<Json> {
    names_in(&format!(
        "crypto.x509.parse_and_verify_certificates_with_options({}, {options})",
        text(nodes)
    ))
}

fn names_in(call: &str) -> Option<Json> {
    let answer = result(call).unwrap_or_else(|| panic!("{call} is undefined"));
    if answer == json!([false, []]) {
        return None;
    }
    assert_eq!(answer[0], json!(true));
    let chain = answer[1].as_array().unwrap().iter();
    Some(
        chain
            .map(|certificate| certificate["Subject"]["CommonName"].clone())
            .collect(),
    )
}

#[test]
fn a_chain_from_the_leaf_to_the_root() {
    let [root, between, leaf] = three(authority, authority, server);
    let whole = Some(json!(["leaf", "intermediate", "root"]));
    assert_eq!(verified(&[&root, &between, &leaf]), whole);
    // Others beside it, in any order and twice, change nothing.
    let other = node("intermediate", None, authority);
    assert_eq!(
        verified(&[&root, &other, &between, &other, &between, &leaf]),
        whole
    );
    let short = Some(json!(["intermediate", "root"]));
    assert_eq!(verified(&[&root, &between]), short);
    // A leaf that is the root is its own chain.
    assert_eq!(verified(&[&root, &root]), Some(json!(["root"])));

    assert_eq!(verified(&[]), None);
    assert_eq!(verified(&[&root]), None);
    assert_eq!(verified(&[&root, &leaf]), None);
    assert_eq!(verified(&[&leaf, &between, &root]), None);
    assert_eq!(verified(&[&other, &between, &leaf]), None);
    let stranger = node("root", None, authority);
    assert_eq!(verified(&[&stranger, &between, &leaf]), None);
}

/// What stands in a chain must allow it.
#[test]
fn certificates_that_may_not_stand_there() {
    let early: Change = |parameters| {
        authority(parameters);
        parameters.not_after = date_time_ymd(2020, 1, 1);
    };
    let late: Change = |parameters| {
        authority(parameters);
        parameters.not_before = date_time_ymd(2030, 1, 1);
    };
    let no_authority: Change = |parameters| parameters.is_ca = IsCa::ExplicitNoCa;
    let no_signer: Change = |parameters| {
        authority(parameters);
        parameters.key_usages = vec![KeyUsagePurpose::CrlSign];
    };
    let for_clients: Change = |parameters| {
        authority(parameters);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let unknown: Change = |parameters| {
        authority(parameters);
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        parameters.custom_extensions = vec![extension];
    };
    for change in [early, late, no_authority, no_signer, for_clients, unknown] {
        let [root, between, leaf] = three(authority, change, server);
        assert_eq!(verified(&[&root, &between, &leaf]), None);
        let [root, between, leaf] = three(change, authority, server);
        assert_eq!(verified(&[&root, &between, &leaf]), None);
    }
    for change in [early, late, for_clients, unknown] {
        let [root, between, leaf] = three(authority, authority, change);
        assert_eq!(verified(&[&root, &between, &leaf]), None);
    }
    // One that does not say what it is cannot stand between, nor sign as the root.
    for change in [unchanged as Change, |parameters| {
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    }] {
        let [root, between, leaf] = three(authority, change, server);
        assert_eq!(verified(&[&root, &between, &leaf]), None);
    }
}

#[test]
fn lengths_of_paths() {
    let none_below: Change =
        |parameters| parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let [root, between, leaf] = three(none_below, authority, server);
    assert_eq!(verified(&[&root, &between, &leaf]), None);
    assert!(verified(&[&root, &between]).is_some());
    let [root, between, leaf] = three(authority, none_below, server);
    assert!(verified(&[&root, &between, &leaf]).is_some());
}

#[test]
fn options() {
    let [root, between, leaf] = three(authority, authority, server);
    let all = [&root, &between, &leaf];
    let good = [
        "{}",
        r#"{"DNSName": "a.example.com"}"#,
        r#"{"DNSName": "A.Example.Com."}"#,
        r#"{"DNSName": "\"a.example.com\""}"#,
        r#"{"DNSName": "b.example.org"}"#,
        r#"{"DNSName": "192.0.2.1"}"#,
        r#"{"DNSName": "[192.0.2.1]"}"#,
        r#"{"DNSName": ""}"#,
        r#"{"CurrentTime": 1600000000000000000}"#,
        r#"{"KeyUsages": []}"#,
        r#"{"KeyUsages": {"KeyUsageClientAuth", "KeyUsageServerAuth"}}"#,
        r#"{"KeyUsages": [1, "KeyUsageAny"]}"#,
        r#"{"MaxConstraintComparisons": 0}"#,
        r#"{"MaxConstraintComparisons": 5}"#,
        r#"{1: 2}"#,
    ];
    for options in good {
        assert!(verified_with(&all, options).is_some(), "{options}");
    }
    let bad = [
        r#"{"DNSName": "example.com"}"#,
        r#"{"DNSName": "b.a.example.org"}"#,
        r#"{"DNSName": "example.org"}"#,
        r#"{"DNSName": "192.0.2.2"}"#,
        r#"{"DNSName": "leaf"}"#,
        r#"{"CurrentTime": 0}"#,
        r#"{"CurrentTime": -1}"#,
    ];
    for options in bad {
        assert_eq!(verified_with(&all, options), None, "{options}");
    }
    for options in [
        r#"{"DNSName": 1}"#,
        r#"{"CurrentTime": "now"}"#,
        r#"{"CurrentTime": 1.5}"#,
        r#"{"KeyUsages": "KeyUsageAny"}"#,
        r#"{"KeyUsages": ["ServerAuth"]}"#,
        r#"{"MaxConstraintComparisons": true}"#,
        r#"{"Roots": []}"#,
        "[]",
    ] {
        let call = format!(
            "crypto.x509.parse_and_verify_certificates_with_options({}, {options})",
            text(&all)
        );
        assert_eq!(result(&call), None, "{options}");
    }
    // What cannot be read is not valid, whatever the options.
    let call = "crypto.x509.parse_and_verify_certificates_with_options(\"!\", {\"Roots\": 1})";
    assert_eq!(result(call), Some(json!([false, []])));
}

#[test]
fn usages_hold_for_the_whole_chain() {
    let client: Change = |parameters| {
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let both: Change = |parameters| {
        authority(parameters);
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
    };
    let [root, between, leaf] = three(authority, both, client);
    let all = [&root, &between, &leaf];
    let rows = [
        ("[]", false),
        (r#"["KeyUsageServerAuth"]"#, false),
        (r#"["KeyUsageCodeSigning"]"#, false),
        (r#"["KeyUsageClientAuth"]"#, true),
        (r#"["KeyUsageServerAuth", "KeyUsageClientAuth"]"#, true),
        (r#"["KeyUsageAny"]"#, true),
    ];
    for (usages, expected) in rows {
        let options = format!("{{\"KeyUsages\": {usages}}}");
        let answer = verified_with(&all, &options);
        assert_eq!(answer.is_some(), expected, "{usages}");
    }
}

/// Subtrees of the intermediate, names of the leaf, and whether they go together.
#[test]
fn constraints_on_names() {
    type Subtrees = fn() -> Vec<GeneralSubtree>;
    fn dns(name: &str) -> Vec<GeneralSubtree> {
        vec![GeneralSubtree::DnsName(name.to_owned())]
    }
    let rows: [(Subtrees, Subtrees, bool); 12] = [
        (|| dns("example.com"), Vec::new, false),
        (
            || [dns("example.com"), dns("example.org")].concat(),
            Vec::new,
            true,
        ),
        (|| [dns("com"), dns("org")].concat(), Vec::new, true),
        (
            || [dns(".example.com"), dns("org")].concat(),
            Vec::new,
            true,
        ),
        (
            || [dns(".a.example.com"), dns("org")].concat(),
            Vec::new,
            false,
        ),
        (Vec::new, || dns("b.example.com"), true),
        (Vec::new, || dns("a.example.com"), false),
        (Vec::new, || dns("com"), false),
        // The wildcard may stand for what is excluded.
        (Vec::new, || dns("b.example.org"), false),
        (Vec::new, || dns("net"), true),
        (
            || {
                vec![GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(
                    [192, 0, 2, 0],
                    24,
                ))]
            },
            Vec::new,
            true,
        ),
        (
            Vec::new,
            || {
                vec![GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(
                    [192, 0, 2, 0],
                    24,
                ))]
            },
            false,
        ),
    ];
    for (index, (permitted, excluded, expected)) in rows.into_iter().enumerate() {
        let root = node("root", None, authority);
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "ca");
        authority(&mut parameters);
        parameters.name_constraints = Some(NameConstraints {
            permitted_subtrees: permitted(),
            excluded_subtrees: excluded(),
        });
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&root.parameters, &root.key);
        let pem = parameters.signed_by(&key, &issuer).unwrap().pem();
        let between = Node {
            parameters,
            key,
            pem,
        };
        let leaf = node("leaf", Some(&between), server);
        let answer = verified(&[&root, &between, &leaf]);
        assert_eq!(answer.is_some(), expected, "row {index}");
        // No comparison more than is allowed.
        for most in [-1, i64::MIN] {
            let options = format!("{{\"MaxConstraintComparisons\": {most}}}");
            assert_eq!(verified_with(&[&root, &between, &leaf], &options), None);
        }
    }
}

/// What would be compared too often ends the evaluation.
#[test]
fn names_too_long_to_be_compared() {
    fn long() -> String {
        vec!["a".repeat(60); 10].join(".")
    }
    let constrained: Change = |parameters| {
        authority(parameters);
        parameters.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("a".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    };
    let named: Change = |parameters| {
        let name = long().try_into().unwrap();
        parameters.subject_alt_names = vec![SanType::DnsName(name)];
    };
    let too_strict: Change = |parameters| {
        authority(parameters);
        parameters.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(long())],
            excluded_subtrees: Vec::new(),
        });
    };
    for (between, leaf) in [(constrained, named), (too_strict, server as Change)] {
        let [root, between, leaf] = three(authority, between, leaf);
        let all = text(&[&root, &between, &leaf]);
        let call = format!("crypto.x509.parse_and_verify_certificates({all})");
        assert!(refusal(&call).contains("more than 512 bytes"), "{call}");
    }
    // Nobody minds where nothing is compared.
    let [root, between, leaf] = three(authority, authority, named);
    assert!(verified(&[&root, &between, &leaf]).is_some());
}

/// Policies that an authority requires must reach the leaf.
#[test]
fn required_policies() {
    fn policies(parameters: &mut CertificateParams, last: u8) {
        let content = vec![0x30, 6, 0x30, 4, 6, 2, 0x2a, last];
        let extension = CustomExtension::from_oid_content(&[2, 5, 29, 32], content);
        parameters.custom_extensions.push(extension);
    }
    let requiring: Change = |parameters| {
        authority(parameters);
        policies(parameters, 3);
        let content = vec![0x30, 3, 0x80, 1, 0];
        let extension = CustomExtension::from_oid_content(&[2, 5, 29, 36], content);
        parameters.custom_extensions.push(extension);
    };
    let rows: [(Change, bool); 3] = [
        (server, false),
        (|parameters| policies(parameters, 4), false),
        (|parameters| policies(parameters, 3), true),
    ];
    for (index, (leaf, expected)) in rows.into_iter().enumerate() {
        let [root, between, leaf] = three(authority, requiring, leaf);
        let answer = verified(&[&root, &between, &leaf]);
        assert_eq!(answer.is_some(), expected, "row {index}");
    }
}

/// Many certificates of one name end at the limit of signatures, not in a search without end.
#[test]
fn a_search_ends() {
    let root = node("root", None, authority);
    let loops: Vec<_> = (0..120).map(|_| node("ca", None, authority)).collect();
    let last = node("ca", Some(&root), authority);
    let leaf = node("leaf", Some(&last), server);
    let mut all = vec![&root];
    all.extend(&loops);
    all.extend([&last, &leaf]);
    assert_eq!(verified(&all), None);
    assert!(verified(&[&root, &last, &leaf]).is_some());
}
