//! The bytes of aggregation states between nodes. The request says which kinds they are.

use std::collections::{BTreeMap, BTreeSet};

use super::distinct::{Distinct, REGISTERS};
use super::metric::{MetricState, Numbers};
use super::quantiles::{Quantiles, Sketch};
use super::state::{Bucket, Buckets, Key, State};
use super::{Aggregation, Kind, Metric};
use crate::Error;
use crate::codec::{DAMAGED, Reader, Writer};
use crate::number::Number;

/// Writes the states of these aggregations.
pub(crate) fn encode(states: &[State], into: &mut Writer) {
    for state in states {
        match state {
            State::Metric(metric) => encode_metric(metric, into),
            State::Buckets(buckets) => {
                into.number(buckets.cut_count);
                into.number(buckets.error);
                into.size(buckets.map.len());
                for (key, bucket) in &buckets.map {
                    encode_key(key, into);
                    into.number(bucket.count);
                    encode(&bucket.children, into);
                }
            }
        }
    }
}

/// Reads the states of these aggregations.
pub(crate) fn decode(
    aggregations: &[Aggregation],
    from: &mut Reader<'_>,
) -> Result<Vec<State>, Error> {
    let decode_one = |aggregation: &Aggregation| match &aggregation.kind {
        Kind::Metric(metric) => decode_metric(metric, from).map(State::Metric),
        _ => decode_buckets(aggregation, from).map(State::Buckets),
    };
    aggregations.iter().map(decode_one).collect()
}

fn decode_buckets(aggregation: &Aggregation, from: &mut Reader<'_>) -> Result<Buckets, Error> {
    let (cut_count, error) = (from.number()?, from.number()?);
    let mut map = BTreeMap::new();
    for _ in 0..from.size()? {
        let key = decode_key(from)?;
        let count = from.number()?;
        let children = decode(&aggregation.children, from)?;
        map.insert(key, Bucket { count, children });
    }
    Ok(Buckets {
        map,
        cut_count,
        error,
    })
}

fn encode_key(key: &Key, into: &mut Writer) {
    match key {
        Key::Place(place) => {
            into.byte(0);
            into.signed(*place);
        }
        Key::Bool(truth) => {
            into.byte(1);
            into.byte(u8::from(*truth));
        }
        Key::Number(number) => {
            into.byte(2);
            into.text(&number.to_string());
        }
        Key::Text(text) => {
            into.byte(3);
            into.text(text);
        }
    }
}

fn decode_key(from: &mut Reader<'_>) -> Result<Key, Error> {
    Ok(match from.byte()? {
        0 => Key::Place(from.signed()?),
        1 => Key::Bool(from.byte()? != 0),
        2 => Key::Number(Number::parse(&from.text()?).ok_or(DAMAGED)?),
        3 => Key::Text(from.text()?),
        _ => return Err(DAMAGED),
    })
}

fn encode_metric(metric: &MetricState, into: &mut Writer) {
    match metric {
        MetricState::Numbers(numbers) => {
            into.number(numbers.count);
            into.float(numbers.sum);
            into.float(numbers.min);
            into.float(numbers.max);
        }
        MetricState::Count(count) => into.number(*count),
        MetricState::Distinct(Distinct::Exact(hashes)) => {
            into.byte(0);
            into.size(hashes.len());
            hashes.iter().for_each(|hash| into.raw(&hash.to_be_bytes()));
        }
        MetricState::Distinct(Distinct::Registers(registers)) => {
            into.byte(1);
            into.raw(registers);
        }
        MetricState::Quantiles(Quantiles::Exact(values)) => {
            into.byte(0);
            into.size(values.len());
            values.iter().for_each(|&value| into.float(value));
        }
        MetricState::Quantiles(Quantiles::Sketch(sketch)) => {
            into.byte(1);
            into.number(sketch.zero);
            for side in [&sketch.negative, &sketch.positive] {
                into.size(side.len());
                for (key, count) in side {
                    into.signed(i64::from(*key));
                    into.number(*count);
                }
            }
        }
    }
}

fn decode_metric(metric: &Metric, from: &mut Reader<'_>) -> Result<MetricState, Error> {
    Ok(match metric {
        Metric::Avg | Metric::Sum | Metric::Min | Metric::Max | Metric::Stats => {
            MetricState::Numbers(Numbers {
                count: from.number()?,
                sum: from.float()?,
                min: from.float()?,
                max: from.float()?,
            })
        }
        Metric::ValueCount => MetricState::Count(from.number()?),
        Metric::Cardinality => MetricState::Distinct(decode_distinct(from)?),
        Metric::Percentiles(_) => MetricState::Quantiles(decode_quantiles(from)?),
    })
}

fn decode_distinct(from: &mut Reader<'_>) -> Result<Distinct, Error> {
    if from.byte()? == 1 {
        return Ok(Distinct::Registers(from.take(REGISTERS)?.to_vec()));
    }
    let hashes: Result<BTreeSet<u64>, Error> = (0..from.size()?)
        .map(|_| from.array().map(u64::from_be_bytes))
        .collect();
    hashes.map(Distinct::Exact)
}

fn decode_quantiles(from: &mut Reader<'_>) -> Result<Quantiles, Error> {
    if from.byte()? == 0 {
        let values: Result<_, _> = (0..from.size()?).map(|_| from.float()).collect();
        return values.map(Quantiles::Exact);
    }
    let mut sketch = Sketch {
        zero: from.number()?,
        ..Sketch::default()
    };
    for side in [&mut sketch.negative, &mut sketch.positive] {
        for _ in 0..from.size()? {
            let key = i32::try_from(from.signed()?).map_err(|_| DAMAGED)?;
            side.insert(key, from.number()?);
        }
    }
    Ok(Quantiles::Sketch(sketch))
}
