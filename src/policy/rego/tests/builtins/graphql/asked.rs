//! Queries, checked with a schema.

use super::*;

/// A schema that has something of everything.
pub(super) const SCHEMA: &str = r#"
    interface Node { id: ID! }
    interface Pet { name: String! }
    type Dog implements Node & Pet {
        id: ID!
        name: String!
        barks: Boolean
        owner: Human
        knows(command: Command!, times: Int = 1): Boolean
    }
    type Cat implements Pet { name: String! barks: Int meows: [Int] owner: Dog }
    type Human implements Node { id: ID! pets(filter: Filter, first: Int): [Pet!]! friends: [Human] }
    type Stone { weight: Float }
    union Any = Dog | Human
    enum Command { SIT DOWN }
    input Filter { kind: String! = "any" names: [String!] size: Int! inner: Filter date: Date }
    input By @oneOf { id: ID name: String }
    scalar Date
    directive @onQuery(a: Int!) on QUERY
    directive @many repeatable on FIELD
    directive @var on VARIABLE_DEFINITION | FRAGMENT_DEFINITION
    type Query {
        dog: Dog
        pet: Pet
        any: Any
        human(by: By): Human
        find(filter: Filter): [Node]
        list(of: [Int!]!): Int
        on(date: Date, f: Float, s: String, b: Boolean, i: Int! = 1, id: ID, c: Command): Int
    }
    type Mutation { rename(name: String!): Dog }
    type Subscription { barked: Dog meowed: Cat }
"#;

#[test]
fn queries_that_are_valid() {
    for query in [
        "",
        "{dog {name}}",
        "query @onQuery(a: 1) {__typename}",
        "{pet {name ... on Dog {barks} ... on Cat {meows}}}",
        "{any {... on Node {id} ... on Pet {name} __typename}}",
        "{dog {...F}} fragment F on Node {... on Human {friends {id}} id}",
        "{dog {...F owner {...G}}} fragment F on Dog {owner {...G}} fragment G on Human {id}",
        "query A {dog {id}} query B {dog {id}}",
        "mutation {rename(name: \"a\") {id}}",
        "subscription {barked {id name}}",
        "subscription {a: barked {id} b: barked {id}}",
        "{__schema {types {name fields {args {type {ofType {name}}}}}} __type(name: \"Dog\") {kind}}",
        "{dog {knows(command: SIT)}}",
        "query ($c: Command!, $t: Int) {dog {knows(command: $c, times: $t)}}",
        "query ($c: Command = SIT) {dog {knows(command: $c)}}",
        "query ($i: Int) {on(i: $i)}",
        "query ($f: Filter) {find(filter: $f) {id}}",
        "query ($s: Int!, $n: [String!]!) {find(filter: {size: $s, names: $n}) {id}}",
        "{find(filter: {size: 1, names: [\"a\"], inner: {size: 2, kind: \"b\"}}) {id}}",
        "{find(filter: {size: 1, names: \"a\", inner: null}) {id}}",
        "{find(filter: null) {id}}",
        "{human(by: {id: 1}) {id}}",
        "query ($n: String!) {human(by: {name: $n}) {id}}",
        "{list(of: [1, 2])}",
        "{list(of: 1)}",
        "query ($l: [Int!]!) {list(of: $l)}",
        "query ($l: Int!) {list(of: [1, $l])}",
        "{on(date: {any: [1, \"a\"]}, f: 1, s: \"a\", b: true, i: 1, id: 1, c: DOWN)}",
        "{on(f: 1.5, s: \"\"\"a\"\"\", id: \"x\")}",
        // An empty object stands for anything.
        "{on(i: {}, c: {})}",
        "{dog @include(if: true) @skip(if: false) {name @many}}",
        "query ($b: Boolean!) {dog @include(if: $b) {name}}",
        "query ($i: Int @var) {on(i: $i)}",
        "{...F @defer(if: false, label: \"a\")} fragment F on Query @var {dog {id}}",
        // Fields that join.
        "{dog {name name n: name}}",
        "{on(i: 1) on(i: 1)}",
        "{pet {... on Dog {x: barks} ... on Cat {y: barks}}}",
        "{pet {... on Dog {n: name} ... on Cat {n: name}}}",
        "{dog {...F ...G}} fragment F on Dog {a: name} fragment G on Dog {a: name}",
        // Lists are the same whatever is in them.
        "{list(of: [1]) list(of: [2])}",
    ] {
        assert!(holds("is_valid", &[query, SCHEMA]), "{query}");
    }
}

#[test]
fn queries_that_are_not_valid() {
    for query in [
        "{missing}",
        "{dog}",
        "{dog {name {first}}}",
        "{dog {missing}}",
        "{any {id}}",
        "{any {name}}",
        "{__missing}",
        "{dog {__schema {types {name}}}}",
        "{a: dog {id} b: dog {missing}}",
        // Operations
        "query A {dog {id}} query A {dog {id}}",
        "{dog {id}} query B {dog {id}}",
        "{dog {id}} {dog {id}}",
        "subscription {barked {id} meowed {name}}",
        "subscription {...F} fragment F on Subscription {barked {id} meowed {name}}",
        "subscription {__typename}",
        // Fragments
        "{dog {...Missing}}",
        "{dog {id}} fragment F on Dog {id}",
        "{dog {...F}} fragment F on Missing {id}",
        "{dog {...F}} fragment F on Int {id}",
        "{dog {... on Missing {id}}}",
        "{dog {... on Command {id}}}",
        "{dog {... on Cat {name}}}",
        "{dog {...F}} fragment F on Cat {name}",
        "{any {... on Cat {name}}}",
        "{dog {...F}} fragment F on Dog {id} fragment F on Dog {name}",
        "{dog {...F}} fragment F on Dog {...F}",
        "{dog {...F}} fragment F on Dog {owner {...G}} fragment G on Human {pets {...F}}",
        "{dog {...F}} fragment F on Dog {id @missing}",
        "{dog {...F}} fragment F on Dog @skip(if: true) {id}",
        // Arguments
        "{dog(a: 1) {id}}",
        "{dog {knows}}",
        "{dog {knows(times: 1)}}",
        "{dog {knows(command: SIT, command: SIT)}}",
        "{dog {knows(command: null)}}",
        "{dog {knows(command: \"SIT\")}}",
        "{dog {knows(command: JUMP)}}",
        "{dog {knows(command: 1)}}",
        "{list}",
        "{list(of: null)}",
        "{list(of: [null])}",
        "{list(of: [\"a\"])}",
        "{list(of: [[1]])}",
        "{on(i: 1.5)}",
        "{on(i: \"1\")}",
        "{on(i: true)}",
        "{on(i: A)}",
        "{on(i: [1])}",
        "{on(i: {a: 1})}",
        "{on(i: null)}",
        "{on(i: 9223372036854775808)}",
        "{on(f: \"1\")}",
        "{on(f: 1e400)}",
        "{on(s: 1)}",
        "{on(b: 1)}",
        "{on(id: 1.5)}",
        "{find(filter: {}) {id}}",
        "{find(filter: {size: 1, missing: 1}) {id}}",
        "{find(filter: {size: 1, size: 1}) {id}}",
        "{find(filter: {size: null}) {id}}",
        "{find(filter: {size: 1, names: [null]}) {id}}",
        "{find(filter: {size: 1, inner: {}}) {id}}",
        "{find(filter: 1) {id}}",
        "{human(by: {}) {id}}",
        "{human(by: {id: 1, name: \"a\"}) {id}}",
        "{human(by: {id: null}) {id}}",
        "query ($n: String) {human(by: {name: $n}) {id}}",
        // Variables
        "{on(i: $i)}",
        "query ($i: Int) {dog {id}}",
        "query ($i: Int, $i: Int) {on(i: $i)}",
        "query ($i: Missing) {on(i: $i)}",
        "query ($i: Dog) {on(i: $i)}",
        "query ($i: String) {on(i: $i)}",
        "query ($i: [Int]) {on(i: $i)}",
        "query ($c: Command) {dog {knows(command: $c)}}",
        "query ($c: Command = null) {dog {knows(command: $c)}}",
        "query ($c: Command = JUMP) {dog {knows(command: $c)}}",
        "query ($l: [Int]!) {list(of: $l)}",
        "query ($l: Int!) {list(of: $l)}",
        "query ($l: Int) {list(of: [$l])}",
        "query ($f: Filter = {}) {find(filter: $f) {id}}",
        "query A($i: Int) {...F} query B {...F} fragment F on Query {on(i: $i)}",
        // Directives
        "{dog @missing {id}}",
        "{dog @deprecated {id}}",
        "{dog @include {id}}",
        "{dog @include(if: 1) {id}}",
        "{dog @include(if: true, if: true) {id}}",
        "{dog @include(if: true, other: 1) {id}}",
        "{dog @skip(if: true) @skip(if: true) {id}}",
        "{dog @many @many {id}}",
        "query @onQuery {dog {id}}",
        "mutation @onQuery(a: 1) {rename(name: \"a\") {id}}",
        "query ($i: Int @skip(if: true)) {on(i: $i)}",
        // Introspection
        "{__type {name}}",
        "{__schema {types {fields {type {fields {type {fields {name}}}}}}}}",
        "{__schema {types {...F}}} fragment F on __Type {fields {type {interfaces {possibleTypes {name}}}}}",
        // Fields that do not join.
        "{dog {name name: id}}",
        "{on(i: 1) on(i: 2)}",
        "{on(i: 1) on}",
        "{x: dog {id} x: human {id}}",
        "{dog {owner {id}} dog: human {id}}",
        "{dog {id n: name} ...F} fragment F on Query {dog {n: id}}",
        "{dog {...F ...G}} fragment F on Dog {a: name} fragment G on Dog {a: id}",
        "{dog {a: name ... on Dog {...F}}} fragment F on Dog {...G} fragment G on Dog {a: id}",
        "{pet {... on Dog {x: barks} ... on Cat {x: barks}}}",
        "{pet {... on Dog {x: barks} ... on Cat {x: meows}}}",
        "{pet {... on Dog {o: owner {x: id}} ... on Cat {o: owner {x: barks}}}}",
        "{pet {name ... on Dog {name: id}}}",
    ] {
        assert!(parsed("parse_query", query).is_some(), "{query}");
        assert!(!holds("is_valid", &[query, SCHEMA]), "{query}");
    }
}
