//! The signatures of OPA's built-ins, one a line: a name, the types of its arguments and of its value.
//! Reading them is left to `signatures`.

pub(super) const TEXT: &str = "\
abs(number) number
all(any<array[any], set[any]>) boolean
and(set[any], set[any]) set[any]
any(any<array[any], set[any]>) boolean
array.concat(array[any], array[any]) array[any]
array.flatten(array[any]) array[any]
array.reverse(array[any]) array[any]
array.slice(array[any], number, number) array[any]
base64.decode(string) string
base64.encode(string) string
base64.is_valid(any) boolean
base64url.decode(string) string
base64url.encode(string) string
base64url.encode_no_pad(string) string
bits.and(number, number) number
bits.lsh(number, number) number
bits.negate(number) number
bits.or(number, number) number
bits.rsh(number, number) number
bits.xor(number, number) number
cast_array(any) array[any]
cast_boolean(any) boolean
cast_null(any) null
cast_object(any) object[any: any]
cast_set(any) set[any]
cast_string(any) string
ceil(number) number
concat(string, any<array[string], set[string]>) string
contains(string, string) boolean
count(any<string, array[any], object[any: any], set[any]>) number
crypto.hmac.equal(string, string) boolean
crypto.hmac.md5(string, string) string
crypto.hmac.sha1(string, string) string
crypto.hmac.sha256(string, string) string
crypto.hmac.sha512(string, string) string
crypto.md5(string) string
crypto.parse_private_keys(string) array[object[string: any]]
crypto.sha1(string) string
crypto.sha256(string) string
crypto.x509.parse_and_verify_certificates(string) array<boolean, array[object[string: any]]>
crypto.x509.parse_and_verify_certificates_with_options(string, object[string: any]) array<boolean, array[object[string: any]]>
crypto.x509.parse_certificate_request(string) object[string: any]
crypto.x509.parse_certificates(string) array[object[string: any]]
crypto.x509.parse_keypair(string, string) object[string: any]
crypto.x509.parse_rsa_private_key(string) object[string: any]
div(number, number) number
endswith(string, string) boolean
eq(any, any) boolean
equal(any, any) boolean
floor(number) number
format_int(number, number) string
glob.match(string, any<null, array[string]>, string) boolean
glob.quote_meta(string) string
graph.reachable(object[any: any<array[any], set[any]>], any<array[any], set[any]>) set[any]
graph.reachable_paths(object[any: any<array[any], set[any]>], any<array[any], set[any]>) set[array[any]]
graphql.is_valid(any<string, object[any: any]>, any<string, object[any: any]>) boolean
graphql.parse(any<string, object[any: any]>, any<string, object[any: any]>) any
graphql.parse_and_verify(any<string, object[any: any]>, any<string, object[any: any]>) any
graphql.parse_query(string) object[any: any]
graphql.parse_schema(string) object[any: any]
graphql.schema_is_valid(any<string, object[any: any]>) boolean
gt(any, any) boolean
gte(any, any) boolean
hex.decode(string) string
hex.encode(string) string
http.send(object[string: any]) object[any: any]
indexof(string, string) number
indexof_n(string, string) array[number]
internal.member_2(any, any) boolean
internal.member_3(any, any, any) boolean
internal.template_string(array[any]) string
intersection(set[set[any]]) set[any]
io.jwt.decode(string) array<object[any: any], object[any: any], string>
io.jwt.decode_verify(string, object[string: any]) array<boolean, object[any: any], object[any: any]>
io.jwt.encode_sign(object[string: any], object[string: any], object[string: any]) string
io.jwt.encode_sign_raw(string, string, string) string
io.jwt.verify_eddsa(string, string) boolean
io.jwt.verify_es256(string, string) boolean
io.jwt.verify_es384(string, string) boolean
io.jwt.verify_es512(string, string) boolean
io.jwt.verify_hs256(string, string) boolean
io.jwt.verify_hs384(string, string) boolean
io.jwt.verify_hs512(string, string) boolean
io.jwt.verify_ps256(string, string) boolean
io.jwt.verify_ps384(string, string) boolean
io.jwt.verify_ps512(string, string) boolean
io.jwt.verify_rs256(string, string) boolean
io.jwt.verify_rs384(string, string) boolean
io.jwt.verify_rs512(string, string) boolean
is_array(any) boolean
is_boolean(any) boolean
is_null(any) boolean
is_number(any) boolean
is_object(any) boolean
is_set(any) boolean
is_string(any) boolean
json.filter(object[any: any], any) any
json.is_valid(any) boolean
json.marshal(any) string
json.marshal_with_options(any, any) string
json.match_schema(any<string, object[any: any]>, any<string, object[any: any]>) any
json.patch(any, any) any
json.remove(object[any: any], any) any
json.unmarshal(string) any
json.verify_schema(any<string, object[any: any]>) any
lower(string) string
lt(any, any) boolean
lte(any, any) boolean
max(any<array[any], set[any]>) any
min(any<array[any], set[any]>) any
minus(any<number, set[any]>, any<number, set[any]>) any<number, set[any]>
mul(number, number) number
neq(any, any) boolean
net.cidr_contains(string, string) boolean
net.cidr_contains_matches(any, any) any
net.cidr_expand(string) set[string]
net.cidr_intersects(string, string) boolean
net.cidr_is_valid(any) boolean
net.cidr_merge(any<array[any], set[string]>) set[string]
net.cidr_overlap(string, string) boolean
net.lookup_ip_addr(string) set[string]
numbers.range(number, number) array[number]
numbers.range_step(number, number, number) array[number]
object.filter(object[any: any], any<array[any], set[any], object[any: any]>) any
object.get(object[any: any], any, any) any
object.keys(object[any: any]) set[any]
object.remove(object[any: any], any<array[any], set[any], object[any: any]>) any
object.subset(any<object[any: any], set[any], array[any]>, any<object[any: any], set[any], array[any]>) any
object.union(object[any: any], object[any: any]) any
object.union_n(array[object[any: any]]) any
opa.runtime() object[string: any]
or(set[any], set[any]) set[any]
plus(number, number) number
product(any<array[number], set[number]>) number
providers.aws.sign_req(object[string: any], object[string: any], number) object[any: any]
rand.intn(string, number) number
re_match(string, string) boolean
regex.find_all_string_submatch_n(string, string, number) array[array[string]]
regex.find_n(string, string, number) array[string]
regex.globs_match(string, string) boolean
regex.is_valid(any) boolean
regex.match(string, string) boolean
regex.replace(string, string, string) string
regex.split(string, string) array[string]
regex.template_match(string, string, string, string) boolean
rego.metadata.chain() array[any]
rego.metadata.rule() any
rego.parse_module(string, string) object[string: any]
rem(number, number) number
replace(string, string, string) string
round(number) number
semver.compare(string, string) number
semver.is_valid(any) boolean
set_diff(set[any], set[any]) set[any]
sort(any<array[any], set[any]>) array[any]
split(string, string) array[string]
sprintf(string, array[any]) string
startswith(string, string) boolean
strings.any_prefix_match(any<string, array[string], set[string]>, any<string, array[string], set[string]>) boolean
strings.any_suffix_match(any<string, array[string], set[string]>, any<string, array[string], set[string]>) boolean
strings.count(string, string) number
strings.render_template(string, object[string: any]) string
strings.replace_n(object[string: string], string) string
strings.reverse(string) string
strings.split_n(string, string, number) array[string]
substring(string, number, number) string
sum(any<array[number], set[number]>) number
time.add_date(number, number, number, number) number
time.clock(any<number, array<number, string>>) array<number, number, number>
time.date(any<number, array<number, string>>) array<number, number, number>
time.diff(any<number, array<number, string>>, any<number, array<number, string>>) array<number, number, number, number, number, number>
time.format(any<number, array<number, string>, array<number, string, string>>) string
time.now_ns() number
time.parse_duration_ns(string) number
time.parse_ns(string, string) number
time.parse_rfc3339_ns(string) number
time.weekday(any<number, array<number, string>>) string
to_number(any<number, string, boolean, null>) number
trace(string) boolean
trim(string, string) string
trim_left(string, string) string
trim_prefix(string, string) string
trim_right(string, string) string
trim_space(string) string
trim_suffix(string, string) string
type_name(any) string
union(set[set[any]]) set[any]
units.parse(string) number
units.parse_bytes(string) number
upper(string) string
urlquery.decode(string) string
urlquery.decode_object(string) object[string: array[string]]
urlquery.encode(string) string
urlquery.encode_object(object[string: any<string, array[string], set[string]>]) string
uri.is_valid(any) boolean
uri.parse(string) object[string: any]
uuid.parse(string) object[string: any]
uuid.rfc4122(string) string
walk(any) any
yaml.is_valid(any) boolean
yaml.marshal(any) string
yaml.unmarshal(string) any
";
