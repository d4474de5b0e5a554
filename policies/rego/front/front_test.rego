package front.authz_test

import data.front.authz

request(method) := {"attributes": {"request": {"http": {"method": method}}}}

test_looking_is_allowed[method] if {
	some method in ["GET", "HEAD"]
	result := authz.allow with input as request(method)
	result.allowed
	result.headers == {"x-let-in-by": "front"}
}

test_the_rest_is_told_what_is_allowed[method] if {
	some method in ["POST", "PUT", "DELETE", "get"]
	result := authz.allow with input as request(method)
	not result.allowed
	result.http_status == 405
	result.headers.allow == "GET, HEAD"
	startswith(result.body, method)
}

test_a_connection_is_denied if {
	authz.allow == {"allowed": false} with input as {"attributes": {}}
}
