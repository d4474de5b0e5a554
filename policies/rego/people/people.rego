# Who may read and change the people of a company directory, told by the role in a token: guests read,
# admins also add people, but not themselves.
#
# The result is a boolean, as opa-envoy-plugin understands it: this file runs there unchanged, under the
# path people/authz/allow.
package people.authz

import input.attributes.request.http as http_request

default allow := false

allow if {
	is_token_valid
	action_allowed
}

# The secret that the issuer signs with. A real one belongs into the bundle's data and into no repository.
secret := "an example that everybody knows"

# The claims, if the signature holds, and `exp` and `nbf` at the time that is named.
claims := payload if {
	[scheme, encoded] := split(http_request.headers.authorization, " ")
	lower(scheme) == "bearer"
	[true, _, payload] = io.jwt.decode_verify(encoded, {
		"secret": secret,
		"alg": "HS256",
		"time": time.now_ns(),
	})
}

# A token that never ends is one that nobody can take back.
is_token_valid if claims.exp

action_allowed if {
	http_request.method == "GET"
	claims.role in {"guest", "admin"}
	glob.match("/people/*", ["/"], path)
}

action_allowed if {
	http_request.method == "POST"
	claims.role == "admin"
	path == "/people"

	# Without a name in the body there is nobody to compare with, and no one is added.
	lower(input.parsed_body.name) != lower(claims.sub)
}

# Without the query. `parsed_path` would do as well; this shows where the raw path is.
path := split(http_request.path, "?")[0]
