package people.authz_test

import data.people.authz

noon := 1767268800

# A request with a token of this role, signed with this secret.
request(method, path, role, secret) := {
	"attributes": {"request": {"http": {
		"method": method,
		"path": path,
		"headers": {"authorization": concat(" ", ["Bearer", token(role, noon + 60, secret)])},
	}}},
	"parsed_body": {"name": "Carol"},
}

token(role, exp, secret) := io.jwt.encode_sign(
	{"typ": "JWT", "alg": "HS256"},
	{"sub": "alice", "role": role, "exp": exp, "nbf": noon - 60},
	{"kty": "oct", "k": base64url.encode_no_pad(secret)},
)

allowed(method, path, role) if {
	authz.allow with input as request(method, path, role, authz.secret) with time.now_ns as noon * 1000000000
}

test_allowed[note] if {
	some note, case in {
		"a guest reads": ["GET", "/people/7", "guest"],
		"an admin reads": ["GET", "/people/7", "admin"],
		"a query does not matter": ["GET", "/people/7?full=1", "guest"],
		"an admin adds": ["POST", "/people", "admin"],
	}
	allowed(case[0], case[1], case[2])
}

test_denied[note] if {
	some note, case in {
		"a guest does not add": ["POST", "/people", "guest"],
		"nobody deletes": ["DELETE", "/people/7", "admin"],
		"one segment, not more": ["GET", "/people/7/salary", "admin"],
		"another role": ["GET", "/people/7", "owner"],
	}
	not allowed(case[0], case[1], case[2])
}

test_nobody_adds_themselves[name] if {
	some name in ["alice", "ALICE"]
	posted := object.union(
		request("POST", "/people", "admin", authz.secret),
		{"parsed_body": {"name": name}},
	)
	not authz.allow with input as posted with time.now_ns as noon * 1000000000
}

test_without_a_name_nobody_is_added if {
	posted := object.union(
		request("POST", "/people", "admin", authz.secret),
		{"parsed_body": null},
	)
	not authz.allow with input as posted with time.now_ns as noon * 1000000000
}

test_a_token_that_has_ended_is_none if {
	not authz.allow with input as request("GET", "/people/7", "admin", authz.secret)
		with time.now_ns as (noon + 61) * 1000000000
}

test_a_token_signed_by_others_is_none if {
	not authz.allow with input as request("GET", "/people/7", "admin", "another")
		with time.now_ns as noon * 1000000000
}

test_without_a_token_nothing_is_allowed if {
	not authz.allow with input as {"attributes": {"request": {"http": {
		"method": "GET",
		"path": "/people/7",
		"headers": {},
	}}}}
}
