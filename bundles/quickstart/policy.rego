# Closes parts of a site: a request whose first path segment is listed in data.quickstart.closed is
# refused, every other HTTP request may go on to the policies that are asked after this one.
#
# The result is an object as opa-envoy-plugin understands it, so this file runs there unchanged.
package envoy.authz

# Whatever is neither plainly open nor plainly closed is denied: a TCP connection, a request that
# could not be read, a bundle that lost its data.
default allow := {"allowed": false}

allow := {
	"allowed": true,
	# Set on the request that the upstream receives.
	"headers": {"x-checked-by": "doorward"},
} if {
	open
}

allow := {
	"allowed": false,
	"http_status": 403,
	# Set on the answer that the client receives.
	"headers": {
		"content-type": "application/json",
		"x-denied-by": "quickstart",
	},
	# A body is text: an object has to be written out as JSON.
	"body": json.marshal({"error": "closed", "path": segment}),
} if {
	closed
}

# `parsed_path` is percent-decoded and without the query, so `/%61dmin?x` is `admin` too.
segment := input.parsed_path[0]

closed if segment in data.quickstart.closed

# Not merely `not closed`: with `every`, a missing list leaves `open` undefined. A plain negation would
# turn lost data into an open door.
open if {
	# A TCP connection has no method.
	input.attributes.request.http.method
	every name in data.quickstart.closed {
		segment != name
	}
}
