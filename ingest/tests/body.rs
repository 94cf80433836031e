//! Encoded bodies in, bytes or a named refusal out.

use std::io::Write;

use hushlog_ingest::body::{self, Encoding, Error};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).expect("memory takes it")
}

#[test]
fn every_encoding_gives_back_what_went_in() {
    let text: Vec<u8> = (0..200_000u32)
        .flat_map(|i| (i % 251).to_le_bytes())
        .collect();
    for (encoded, encodings) in [
        (text.clone(), vec![]),
        (gzip(&text), vec![Encoding::Gzip]),
        (zstd(&text), vec![Encoding::Zstd]),
        (gzip(&gzip(&text)), vec![Encoding::Gzip, Encoding::Gzip]),
        (zstd(&gzip(&text)), vec![Encoding::Gzip, Encoding::Zstd]),
        (
            [gzip(&text[..1000]), gzip(&text[1000..])].concat(),
            vec![Encoding::Gzip],
        ),
        (
            [zstd(&text[..1000]), zstd(&text[1000..])].concat(),
            vec![Encoding::Zstd],
        ),
    ] {
        let decoded = body::decode(&encoded, &encodings, text.len()).expect("it is valid");
        assert_eq!(*decoded, *text);
        assert_eq!(
            body::decode(&encoded, &encodings, text.len() - 1),
            Err(Error::TooLarge {
                limit: text.len() - 1
            })
        );
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 32 << 20];
    for (bomb, encoding) in [
        (gzip(&zeros), Encoding::Gzip),
        (zstd(&zeros), Encoding::Zstd),
    ] {
        assert!(bomb.len() < 1 << 20);
        let result = body::decode(&bomb, &[encoding], 1 << 20);
        assert_eq!(result, Err(Error::TooLarge { limit: 1 << 20 }));
    }
}

#[test]
fn a_window_over_the_limit_is_refused() {
    // A frame header that asks for a window of 2^31 bytes, and an empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    assert_eq!(
        body::decode(&frame, &[Encoding::Zstd], 1 << 20),
        Err(Error::WindowTooLarge)
    );
    let allowed = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
    assert_eq!(
        body::decode(&allowed, &[Encoding::Zstd], 1 << 20)
            .expect("2^27 is allowed")
            .len(),
        0
    );
}

#[test]
fn damaged_bodies_are_named_and_never_half_accepted() {
    let text = b"{\"message\":\"hello\"}".repeat(100);
    for (encoded, encoding) in [(gzip(&text), Encoding::Gzip), (zstd(&text), Encoding::Zstd)] {
        for length in 1..encoded.len() {
            let result = body::decode(&encoded[..length], &[encoding], 1 << 20);
            assert!(
                matches!(result, Err(Error::BadEncoding { .. })),
                "{encoding:?} {length}"
            );
        }
        assert!(matches!(
            body::decode(&text, &[encoding], 1 << 20),
            Err(Error::BadEncoding { .. })
        ));
    }
}

#[test]
fn headers_name_what_is_spoken() {
    assert_eq!(body::encodings(None), Ok(vec![]));
    assert_eq!(body::encodings(Some("identity")), Ok(vec![]));
    assert_eq!(
        body::encodings(Some("GZIP , zstd")),
        Ok(vec![Encoding::Gzip, Encoding::Zstd])
    );
    assert_eq!(body::encodings(Some("br")), Err(Error::Unsupported));
    assert_eq!(
        body::encodings(Some("gzip,gzip,gzip")),
        Err(Error::Unsupported)
    );
}

#[test]
fn a_body_says_how_long_it_is_where_its_form_has_a_place_for_it() {
    use hushlog_ingest::body::claimed_len;
    let text = b"0123456789".repeat(50);
    let gz = gzip(&text);
    assert_eq!(claimed_len(&gz, &[Encoding::Gzip]), Some(500));
    let framed = zstd::bulk::compress(&text, 1).expect("memory");
    assert_eq!(claimed_len(&framed, &[Encoding::Zstd]), Some(500));
    assert_eq!(claimed_len(&gz, &[]), None);
    assert_eq!(claimed_len(&gz, &[Encoding::Zstd, Encoding::Gzip]), None);
    for broken in [&gz[..3], b"{}", &[0xff; 40]] {
        assert_eq!(claimed_len(broken, &[Encoding::Gzip]), None);
        assert_eq!(claimed_len(broken, &[Encoding::Zstd]), None);
    }
}

#[test]
fn what_a_body_says_is_believed_within_a_ratio_and_no_more_is_taken_than_granted() {
    let zeros = vec![0; 32 << 20];
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).expect("memory takes it");
    encoder
        .set_pledged_src_size(Some(zeros.len() as u64))
        .expect("nothing is written yet");
    encoder.write_all(&zeros).expect("memory takes it");
    let bomb = encoder.finish().expect("memory takes it");
    let claimed = body::claimed_len(&bomb, &[Encoding::Zstd]);
    assert_eq!(claimed, Some(bomb.len() * 1_032));
    assert!(claimed < Some(zeros.len()));
    let limit = (3 << 20) + 5;
    for encoded in [gzip(&zeros[..limit]), zstd(&zeros[..limit])] {
        let encoding = if encoded[0] == 0x1f {
            Encoding::Gzip
        } else {
            Encoding::Zstd
        };
        let decoded = body::decode(&encoded, &[encoding], limit).expect("it fits");
        let capacity = decoded.into_owned().capacity();
        assert!(capacity <= limit + 1, "{capacity}");
    }
}
