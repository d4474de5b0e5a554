//! The few words that policies and requests are made of, chosen so that hits, near misses and
//! odd spellings are all frequent. What is written in policies stands above what is sent.

pub type Words = &'static [&'static str];

pub const NAMESPACES: Words = &["foo", "bar", "istio-system"];
pub const ROOT_NAMESPACE: &str = "istio-system";

/// The mesh's trust domain and its aliases.
pub const MESHES: &[Words] = &[
    &["cluster.local"],
    &["td1", "cluster.local"],
    &["cluster.local", "old-td"],
    &["new-td", "old-td", "td1"],
];

// Identity of the peer.

pub const PRINCIPALS: Words = &[
    "cluster.local/ns/foo/sa/a",
    "*",
    "td1/ns/foo/sa/a",
    "cluster.local/*",
    "*/sa/a",
    "cluster.local*",
    "old-td/ns/bar/sa/b",
    "*/ns/foo/sa/a",
    "cluster.local/ns/foo/*",
    "td1/ns/bar/sa/*",
    "*-td/ns/foo/sa/a",
    "*.local/ns/bar/sa/b",
    "old*/ns/foo/sa/a",
    "cluster*/ns/foo/sa/a",
    "evil/ns/foo/sa/a",
    "*/ns/foo/sa/*",
    "spiffe://cluster.local/ns/foo/sa/a",
    "web.example.com",
    "*example.com",
    "**",
    "*a*",
    "td1/ns/*/sa/a",
];

pub const IDENTITY_NAMESPACES: Words = &[
    "foo", "bar", "*", "fo*", "*oo", "f*o", "foo*", "*o*o*", "**", "f.o", "fo", "*/x", "foo/sa",
    "Foo",
];

pub const SERVICE_ACCOUNTS: Words = &[
    "a", "foo/a", "b", "bar/b", "foo/a.b", "a.b", "bar/a", "f.o/a", "foo/A",
];

pub const TRUST_DOMAINS: Words = &[
    "cluster.local",
    "td1",
    "*",
    "old-td",
    "cluster*",
    "*.local",
    "*-td",
    "td*",
    "evil",
    "cluster.loca",
    "clusterxlocal",
];

pub const SENT_TRUST_DOMAINS: Words = &["cluster.local", "td1", "old-td", "new-td", "evil"];
pub const SENT_ACCOUNTS: Words = &["a", "b", "a.b", "axb"];

/// Identities out of the ordinary.
pub const SENT_IDENTITIES: Words = &[
    "",
    "spiffe://cluster.local",
    "spiffe://cluster.local/",
    "spiffe://cluster.local/ns/foo",
    "spiffe://cluster.local/ns/foo/",
    "spiffe://cluster.local/ns/foo/sa/",
    "spiffe://cluster.local/ns/foo/sa/a/",
    "spiffe://cluster.local/ns/foo/sa/a/x",
    "spiffe://cluster.local/ns/foo/x/sa/a",
    "spiffe://cluster.local/x/ns/foo/sa/a",
    "spiffe://cluster.local/ns//sa/a",
    "spiffe://cluster.local/ns/foo//sa/a",
    "spiffe://td1/ns/bar/ns/foo/sa/a",
    "spiffe://td1/ns/bar/sa/b/ns/foo/sa/a",
    "spiffe:///ns/foo/sa/a",
    "spiffe://cluster.local.evil/ns/foo/sa/a",
    "spiffe://Cluster.local/ns/foo/sa/a",
    "spiffe://clusterxlocal/ns/fxo/sa/a",
    "spiffe://cluster.local/ns/fo/o/sa/a",
    "spiffe://td1/ns/*/sa/a",
    "spiffe://*/ns/foo/sa/a",
    "spiffe://*-td/ns/foo/sa/a",
    "spiffe://spiffe://cluster.local/ns/foo/sa/a",
    "SPIFFE://cluster.local/ns/foo/sa/a",
    "cluster.local/ns/foo/sa/a",
    "https://cluster.local/ns/foo/sa/a",
    "web.example.com",
    "CN=a,O=example.com",
    "spiffe://cluster.local/ns/foo/sa/a\u{e4}",
];

// Addresses.

pub const IP_BLOCKS: Words = &[
    "10.0.0.1",
    "10.0.0.0/24",
    "10.0.0.7/8",
    "192.168.1.0/31",
    "0.0.0.0/0",
    "10.0.0.1/32",
    "2001:db8::1",
    "2001:db8::/32",
    "::/0",
    "2001:db8::1/127",
    "2001:db8::1/128",
    "::ffff:10.0.0.0/104",
    "::ffff:10.0.0.1",
    "203.0.113.9",
];

pub const SENT_IPS: Words = &[
    "10.0.0.1",
    "10.0.0.200",
    "10.9.9.9",
    "192.168.1.1",
    "192.168.1.2",
    "2001:db8::1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db9::1",
    "::1",
    "::ffff:10.0.0.1",
    "203.0.113.9",
    "",
    "no-address",
];

pub const SENT_FORWARDED: &[&[u8]] = &[
    b"10.0.0.1",
    b"203.0.113.9, 10.0.0.1",
    b"10.0.0.1,192.168.1.1,203.0.113.9",
    b"2001:db8::1, 10.0.0.200,2001:db8::2",
    b"\t10.0.0.1 ",
    b"",
    b",",
    b"10.0.0.1,",
    b"unknown, 10.0.0.1",
    b"10.0.0.1:80",
    b"[2001:db8::1]",
    b"10.0.0.01",
    b"10.0.0.1, \xff",
    b"\xff, 10.0.0.1",
    b"::ffff:10.0.0.1",
];

pub const PORTS: Words = &["80", "8080", "443", "0", "65535", "8000"];
pub const SENT_PORTS: &[u32] = &[80, 8080, 443, 0, 65535, 9090];

pub const SERVER_NAMES: Words = &[
    "a.com", "*.com", "a.*", "*", "x.a.com", "*.a.com", "A.com", "*A.COM",
];
pub const SENT_SERVER_NAMES: Words = &["a.com", "A.com", "x.a.COM", "b.com", "", "a.org", "com"];

// HTTP.

pub const HOSTS: Words = &[
    "a.com", "*.a.com", "a.*", "*", "a.com:*", "A.COM", "*:8080", "b.com", "*.A.com", "a*m",
    "a.com.",
];
pub const SENT_HOSTS: Words = &[
    "a.com",
    "A.com",
    "a.com:8080",
    "x.a.com",
    "a.com.",
    "b.com",
    "X.A.COM:80",
    "",
    "aXcom",
    "a*m",
    "\u{e4}.a.com",
];

pub const METHODS: Words = &[
    "GET", "POST", "*", "G*", "*T", "get", "DELETE", "OPTIONS", "P*T", "PU*",
];
pub const SENT_METHODS: Words = &[
    "GET", "POST", "PUT", "OPTIONS", "get", "DELETE", "CONNECT", "", "P*T",
];

pub const PATHS: Words = &[
    "/a",
    "/a/*",
    "*/b",
    "*",
    "/a*",
    "/a/b",
    "/",
    "/a/{*}",
    "/a/{**}",
    "/{*}",
    "/{**}",
    "/a/{*}/b",
    "/a/{**}/b",
    "/{*}/{**}",
    "/{*}/b/{**}",
    "/a/{*}/{**}",
    "/a/{**}/",
    "/A",
    "//a",
    "/a?x=1",
    "/a#f",
    "*a*",
    "/a/*/b",
    "*",
    "/%61",
];
pub const SENT_PATHS: Words = &[
    "/a",
    "/a/b",
    "/",
    "/a/",
    "/a/x/b",
    "/a//b",
    "/a/b/c",
    "/a?x=1",
    "/a#f",
    "/a/b?x#y",
    "/a/x#?y",
    "/a/?",
    "/A",
    "//a",
    "//",
    "/a b",
    "/a/ /b",
    "/a/<x>",
    "/a/x|y/b",
    "/a/\u{e9}/b",
    "/a/*",
    "/a/*/b",
    "/a/%zz/b",
    "/a/%2fb",
    "/%61",
    "/a/x\\y",
    "/a/[x]/b/c",
    "/a/x^y",
    "/a/`/b",
    "/a/\"x\"",
    "/a/b;p",
    "/a/{*}",
    "/a/~!$&'()+,;:@=-._/b",
    "/a/./b",
    "",
    "*",
    "a",
    "a/b",
    "http://a.com/a",
    "?x=1",
    "#f",
    "*?x",
    "/*",
];

pub const HEADERS: Words = &["x-a", "X-A", "x-b", "x-none"];
pub const HEADER_VALUES: Words = &[
    "v", "*", "v*", "*v", "w", "v,w", "v,*", "V", "v*w", "v ", "\u{e9}*",
];
pub const SENT_HEADERS: Words = &["x-a", "x-b", "X-a", "x-c"];
pub const SENT_HEADER_VALUES: &[&[u8]] = &[
    b"v",
    b"w",
    b"",
    b"vx",
    b"xv",
    b"v,w",
    b"\xffv",
    b"v\xff",
    b"\xc3\xa9x",
    b"v*w",
    b"V",
    b"v ",
    b"*",
];

/// Headers that the request's line is told in.
pub const PSEUDO_HEADERS: Words = &[":authority", "host", "Host", ":method", ":path"];
pub const PSEUDO_VALUES: Words = &[
    "a.com", "A.com", "*", "GET", "/a", "/a?x=1", "/a*", "*.com", "*=1", "P*",
];

pub const FORWARDED_VALUES: Words = &[
    "*",
    "10.0.0.1",
    "*10.0.0.1",
    "10.*",
    "203.0.113.9, 10.0.0.1",
];

// Tokens.

pub const REQUEST_PRINCIPALS: Words = &[
    "iss-a/alice",
    "*",
    "iss-a/bob",
    "iss-a/alice",
    "iss-a/*",
    "iss-a/al*",
    "*/alice",
    "*alice",
    "*a/alice",
    "iss*",
    "iss-b/*",
    "https://idp.example/*",
    "https://idp.example//*",
    "https://idp.example//alice",
    "https://idp.example/alice",
    "https://idp*",
    "https://idp.example/a/b",
    "*b",
    "*/*",
    "iss-b/bob",
    "iss-a",
    "iss-a/",
    "/alice",
    "alice",
    "**",
];
pub const AUDIENCES: Words = &["aud-a", "aud*", "*-b", "*", "aud-b", "a*b", "AUD-A"];
pub const PRESENTERS: Words = &["app", "*", "ap*", "*pp", "a*p"];

pub const CLAIMS: Words = &[
    "request.auth.claims[groups]",
    "request.auth.claims[scope]",
    "request.auth.claims[nested][role]",
    "request.auth.claims[nested][list]",
    "request.auth.claims[groups]",
    "request.auth.claims[scope]",
    "request.auth.claims[nested][role]",
    "request.auth.claims[iss]",
    "request.auth.claims[sub]",
    "request.auth.claims[permission]",
    "request.auth.claims[custom]",
    "request.auth.claims[admin]",
    "request.auth.claims[level]",
    "request.auth.claims[a.b]",
    "request.auth.claims[https://x/y]",
    "request.auth.claims[a[b]]",
    "request.auth.claims[nested]",
    "request.auth.claims[nested][role][deep]",
    "request.auth.claims[missing]",
];
pub const CLAIM_VALUES: Words = &[
    "admin",
    "read",
    "*",
    "read write",
    "admin",
    "write",
    "ad*",
    "*min",
    "*d",
    "eng",
    "true",
    "3",
    "iss-a",
    "alice",
    "re*",
    "*d",
    "a*n",
    "Admin",
];

// Metadata of the proxy's filters.

pub const METADATA: Words = &[
    "experimental.envoy.filters.http.lua[k]",
    "experimental.envoy.filters.http.lua[k]",
    "experimental.envoy.filters.http.lua[l]",
    "experimental.envoy.filters.a.b[k]",
];
pub const METADATA_VALUES: Words = &[
    "v", "*", "v*", "*v", "[v]", "[v*]", "[*v]", "[*]", "[[v]]", "w", "[w]", "[v",
];
pub const SENT_METADATA_FILTERS: Words = &[
    "envoy.filters.http.lua",
    "envoy.filters.http.lua",
    "envoy.filters.a.b",
];
pub const SENT_METADATA_KEYS: Words = &["k", "l"];
/// As JSON.
pub const SENT_METADATA_VALUES: Words = &[
    "\"v\"",
    "[\"v\"]",
    "\"v\"",
    "[\"v\"]",
    "\"v\"",
    "[\"w\",\"v\"]",
    "\"vx\"",
    "\"xv\"",
    "[\"w\",\"vx\"]",
    "[[\"v\"]]",
    "[]",
    "[1,\"v\"]",
    "1",
    "true",
    "null",
    "{\"k\":\"v\"}",
    "\"[v]\"",
    "\"\"",
    "\"vx\"",
    "\"xv\"",
    "\"v\\nv\"",
    "[\"\"]",
    "\"[v\"",
    "\"w\"",
    "[\"xv\"]",
];
