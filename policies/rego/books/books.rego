# A book shop by roles: each role has methods and paths, each user has roles. Users come with Basic
# credentials, whose password somebody else has checked.
package books.authz

import input.attributes.request.http as http_request

default allow := false

# What tells whether the shop is alive tells no secret.
allow if {
	http_request.method == "GET"
	path == "/health"
}

allow if {
	some role in roles_of[user]
	some permission in permissions_of[role]
	permission.method == http_request.method
	permission.path == path
}

# In a bundle, both would be data.
roles_of := {
	"nina": {"reader"},
	"omar": {"reader", "clerk"},
}

permissions_of := {
	"reader": [
		{"method": "GET", "path": "/productpage"},
		{"method": "GET", "path": "/static/style.css"},
	],
	"clerk": [
		{"method": "GET", "path": "/api/v1/products"},
		{"method": "POST", "path": "/api/v1/products"},
	],
}

user := name if {
	[scheme, encoded] := split(http_request.headers.authorization, " ")
	lower(scheme) == "basic"
	[name, _] := split(base64.decode(encoded), ":")
}

# Without the query.
path := split(http_request.path, "?")[0]
