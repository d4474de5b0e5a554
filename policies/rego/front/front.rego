# A front door with few words: whoever only looks may come in, and the service behind is told who let
# them in. What else is asked for gets an answer of its own.
#
# The result is an object as opa-envoy-plugin understands it.
package front.authz

default allow := {"allowed": false}

method := input.attributes.request.http.method

looking if method in {"GET", "HEAD"}

allow := {
	"allowed": true,
	# Set on the request that the service receives; what a client sent under this name is gone.
	"headers": {"x-let-in-by": "front"},
	"request_headers_to_remove": ["x-debug"],
	# Set on the answer that the client receives.
	"response_headers_to_add": {"cache-control": "no-store"},
} if {
	looking
}

allow := {
	"allowed": false,
	"http_status": 405,
	"headers": {"allow": "GET, HEAD", "content-type": "text/plain"},
	"body": sprintf("%s is not for this door", [method]),
} if {
	method
	not looking
}
