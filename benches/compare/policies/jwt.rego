# Takes the request's token apart and looks at its times, at path and method, and at one claim.
package envoy.authz

import input.attributes.request.http as http_request

default allow := false

allow if {
	in_time
	permitted
}

in_time if {
	now := time.now_ns() / 1000000000
	claims.iat <= now
	now < claims.exp
}

permitted if {
	http_request.method == "POST"
	glob.match("/reports/*", ["/"], http_request.path)
	claims.role == "editor"
}

permitted if {
	http_request.method == "GET"
	startswith(http_request.path, "/headers")
	claims.sub == "testing@secure.istio.io"
}

claims := payload if {
	["Bearer", token] = split(http_request.headers.authorization, " ")
	[_, payload, _] := io.jwt.decode(token)
}
