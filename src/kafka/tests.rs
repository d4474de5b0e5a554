//! Figures that others published, and answers that no broker should give. What a real client's peer says
//! to what is sent is tried in `tests/sinks`.

use super::batch::{batch, crc32c, murmur2, partition};
use super::messages::{Metadata, produced};
use super::sasl::Scram;
use super::wire::put_varint;
use super::*;

#[test]
fn checksums_and_hashes_are_those_of_others() {
    // RFC 3720, appendix B.4.
    let rows: [(&[u8], u32); 4] = [
        (&[0; 32], 0x8a91_36aa),
        (&[0xff; 32], 0x62a8_ab43),
        (b"123456789", 0xe306_9283),
        (b"", 0),
    ];
    for (bytes, expected) in rows {
        assert_eq!(crc32c(bytes), expected);
    }
    // Those of Kafka's own tests.
    let rows: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        (
            "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        ),
        ("abc", 479_470_107),
    ];
    for (key, expected) in rows {
        assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        assert!(partition(key.as_bytes(), 7) < 7);
    }
    assert_eq!(partition(b"x", 0), 0);
}

#[test]
fn varints_are_near_zero_on_both_sides() {
    let rows: [(i64, &[u8]); 6] = [
        (0, &[0]),
        (-1, &[1]),
        (1, &[2]),
        (63, &[0x7e]),
        (-65, &[0x81, 0x01]),
        (300, &[0xd8, 0x04]),
    ];
    for (number, expected) in rows {
        let mut found = Vec::new();
        put_varint(&mut found, number);
        assert_eq!(found, expected, "{number}");
    }
}

#[test]
fn a_batch_says_how_long_it_is() {
    let message = |key: &str| Message {
        key: key.into(),
        value: b"v".to_vec(),
        time: 5,
    };
    let (one, two) = (message("a"), message("b"));
    let bytes = batch(&[&one, &two]);
    let length = i32::from_be_bytes(bytes[8..12].try_into().unwrap());
    assert_eq!(length as usize, bytes.len() - 12);
    assert_eq!(
        u32::from_be_bytes(bytes[17..21].try_into().unwrap()),
        crc32c(&bytes[21..])
    );
    assert_eq!(bytes[57..61], [0, 0, 0, 2]);
}

/// The exchange of RFC 7677 section 3.
#[test]
fn scram_is_as_in_its_rfc() {
    let make = || {
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        Scram::with(Mechanism::ScramSha256, "user", nonce).unwrap()
    };
    let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                     s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let mut scram = make();
    assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let proof = scram.answer(challenge.as_bytes(), "pencil").unwrap();
    assert_eq!(
        proof,
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    scram
        .verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        .unwrap();
    for last in ["", "v=", "v=AAAA", "e=invalid-proof", "v=%"] {
        assert!(scram.verify(last.as_bytes()).is_err(), "{last}");
    }
    let bad = [
        "",
        "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001",
        "r=rOprNGfwEbeRWgbNEkqOx,s=%,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,i=4096,s=W22ZaJ0SNY7soEsUEjb6gQ==",
    ];
    for challenge in bad {
        assert!(
            make().answer(challenge.as_bytes(), "pencil").is_err(),
            "{challenge}"
        );
    }
    let name = Scram::with(Mechanism::ScramSha512, "a=b,c", "n".to_owned());
    assert_eq!(name.unwrap().first(), "n,,n=a=3Db=2Cc,r=n");
    assert!(Scram::new(Mechanism::Plain, "user").is_none());
}

/// Whatever is cut off or wrong: an error, and no more memory than the answer itself takes.
#[test]
fn answers_are_bounded_by_what_is_there() {
    let broker: Broker = "kafka:9092".parse().unwrap();
    let mut answer = vec![
        0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7, 0, 1, b'h', 0, 0, 0x23, 0x84,
    ];
    answer.extend([
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, b't', 0,
    ]);
    answer.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    answer.extend([0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 7]);
    let known = Metadata::read(&answer, "t", &broker).unwrap();
    assert_eq!(known.brokers[&7].to_string(), "h:9092");
    for end in 0..answer.len() {
        assert!(
            Metadata::read(&answer[..end], "t", &broker).is_err(),
            "{end}"
        );
    }
    assert!(Metadata::read(&answer, "other", &broker).is_err());
    for at in 0..answer.len() {
        let mut hostile = answer.clone();
        hostile[at] = 0x7f;
        drop(Metadata::read(&hostile, "t", &broker));
    }
    let mut answer = vec![0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 3, 0, 10];
    answer.extend([0; 20]);
    assert_eq!(produced(&answer).unwrap()[0].code, 10);
    for end in 0..answer.len() - 4 {
        assert!(produced(&answer[..end]).is_err(), "{end}");
    }
}

#[test]
fn brokers_have_a_host_and_a_port() {
    for (text, expected) in [
        ("kafka.example:9092", "kafka.example:9092"),
        ("[::1]:9092", "[::1]:9092"),
        ("10.0.0.1:1", "10.0.0.1:1"),
    ] {
        assert_eq!(text.parse::<Broker>().unwrap().to_string(), expected);
    }
    for text in [
        "",
        "kafka",
        "kafka:",
        "kafka:0",
        "kafka:x",
        ":9092",
        "a b:1",
        "kafka://a:1",
        "a@b:1",
    ] {
        assert!(text.parse::<Broker>().is_err(), "{text}");
    }
}

/// A broker that answers requests one after the other with what is given, and returns what it was asked,
/// by key, version and body.
async fn broker(
    mut stream: tokio::io::DuplexStream,
    answers: Vec<Vec<u8>>,
) -> Vec<(i16, i16, Vec<u8>)> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut asked = Vec::new();
    for answer in answers {
        let length = stream.read_i32().await.unwrap();
        let mut request = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut request).await.unwrap();
        let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        // Key, version, number, and the client's name with its length.
        let body = 10 + number(8) as usize;
        asked.push((number(0), number(2), request[body..].to_vec()));
        let mut reply = i32::try_from(answer.len() + 4)
            .unwrap()
            .to_be_bytes()
            .to_vec();
        reply.extend_from_slice(&request[4..8]);
        reply.extend(answer);
        stream.write_all(&reply).await.unwrap();
    }
    asked
}

fn sasl(mechanism: Mechanism) -> Sasl {
    Sasl {
        mechanism,
        username: "user".to_owned(),
        password: Some(crate::bundle::Secret("pencil".to_owned())),
        password_file: None,
    }
}

#[tokio::test]
async fn a_password_is_shown_as_the_broker_wants_it() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let handshake = vec![0, 0, 0, 0, 0, 0];
    let good = vec![0, 0, 0xff, 0xff, 0, 0, 0, 0];
    let peer = tokio::spawn(broker(theirs, vec![handshake.clone(), good]));
    let mut connection = Connection::on(Box::new(ours));
    sasl(Mechanism::Plain)
        .authenticate(&mut connection)
        .await
        .unwrap();
    let asked = peer.await.unwrap();
    assert_eq!(asked[0], (17, 1, b"\x00\x05PLAIN".to_vec()));
    assert_eq!(
        asked[1],
        (36, 0, b"\x00\x00\x00\x0c\x00user\x00pencil".to_vec())
    );

    // Not the mechanism, not the password, a challenge of somebody else's: refused, with nothing told.
    let refused = vec![0, 33, 0, 0, 0, 0];
    let wrong = [vec![0, 58, 0, 6], b"c4n4ry".to_vec(), vec![0, 0, 0, 0]].concat();
    let challenge = [
        vec![0, 0, 0xff, 0xff, 0, 0, 0, 14],
        b"r=x,s=eA==,i=1".to_vec(),
    ]
    .concat();
    let rows = [
        (Mechanism::Plain, vec![refused]),
        (Mechanism::Plain, vec![handshake.clone(), wrong]),
        (Mechanism::ScramSha256, vec![handshake, challenge]),
        (Mechanism::ScramSha512, vec![vec![]]),
    ];
    for (mechanism, answers) in rows {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let peer = tokio::spawn(broker(theirs, answers));
        let mut connection = Connection::on(Box::new(ours));
        let error = sasl(mechanism)
            .authenticate(&mut connection)
            .await
            .unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(
            !said.contains("pencil") && !said.contains("c4n4ry"),
            "{said}"
        );
        peer.await.unwrap();
    }
}

/// Rule: what a broker says of others is held to the rules of addresses.
#[tokio::test]
async fn only_what_may_be_asked_is_connected_to() {
    let ports = OwnPorts::default();
    ports.add([9_191]);
    let elsewhere: Broker = "192.0.2.1:9092".parse().unwrap();
    for (text, from) in [
        ("169.254.169.254:9092", None),
        ("127.0.0.1:9191", None),
        ("127.0.0.1:9092", Some(&elsewhere)),
        ("[::1]:9092", Some(&elsewhere)),
    ] {
        let error = Connection::open(&text.parse().unwrap(), from, None, &ports).await;
        let error = error.map(drop).unwrap_err();
        assert!(
            matches!(error, KafkaError::Address(_) | KafkaError::AtHome(_)),
            "{text}: {error}"
        );
    }
}
