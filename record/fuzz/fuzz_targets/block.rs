//! Feeds the block decoder whatever libFuzzer invents, as it is and with the right checksum.
#![no_main]

use bytes::Bytes;
use hushlog_record::Block;
use hushlog_record::block::Counts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    read(data.to_vec());
    read(signed(data));
    if let Ok(counts) = Counts::decode(data) {
        assert_eq!(Counts::decode(&counts.encode()).as_ref(), Ok(&counts));
    }
});

fn read(bytes: Vec<u8>) {
    let Ok(block) = Block::parse(Bytes::from(bytes)) else { return };
    if let Ok(columns) = block.columns() {
        assert_eq!(columns.records().len(), columns.rows as usize);
    }
}

fn signed(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    if bytes.len() >= 8 {
        bytes[..4].copy_from_slice(b"HLBK");
        let crc = crc32fast::hash(&bytes[8..]).to_le_bytes();
        bytes[4..8].copy_from_slice(&crc);
    }
    bytes
}
