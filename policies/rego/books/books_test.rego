package books.authz_test

import data.books.authz

request(user, method, path) := {"attributes": {"request": {"http": {
	"method": method,
	"path": path,
	"headers": {"authorization": concat(" ", ["Basic", base64.encode(concat(":", [user, "secret"]))])},
}}}}

test_allowed[note] if {
	some note, case in {
		"a reader looks": ["nina", "GET", "/productpage"],
		"a query does not matter": ["nina", "GET", "/productpage?u=normal"],
		"a clerk looks": ["omar", "GET", "/productpage"],
		"a clerk lists": ["omar", "GET", "/api/v1/products"],
		"a clerk adds": ["omar", "POST", "/api/v1/products"],
		"health is for everybody": ["nobody", "GET", "/health"],
	}
	authz.allow with input as request(case[0], case[1], case[2])
}

test_denied[note] if {
	some note, case in {
		"a reader does not list": ["nina", "GET", "/api/v1/products"],
		"a clerk does not delete": ["omar", "DELETE", "/api/v1/products"],
		"a stranger sees nothing": ["mallory", "GET", "/productpage"],
		"paths are whole": ["omar", "GET", "/productpage/1"],
	}
	not authz.allow with input as request(case[0], case[1], case[2])
}

test_without_credentials_only_health if {
	bare := {"attributes": {"request": {"http": {"method": "GET", "path": "/productpage", "headers": {}}}}}
	not authz.allow with input as bare
	authz.allow with input as bare with input.attributes.request.http.path as "/health"
}

test_a_new_role_needs_no_new_rule if {
	authz.allow with input as request("paul", "GET", "/ledger")
		with authz.roles_of as {"paul": {"auditor"}}
		with authz.permissions_of as {"auditor": [{"method": "GET", "path": "/ledger"}]}
}
