//! What stands in records in place of values that are asked for.
//!
//! Whoever stores records may have written something else for a value: masking writes its hash. A question
//! for the value then asks for that, too. Only tests on whole values and words can be widened so; wildcards,
//! regular expressions and ranges are about texts that are there.

use std::collections::BTreeMap;

use crate::Error;
use crate::codec::{Reader, Writer};
use crate::field::{Field, Nature};
use crate::language::{Expr, Leaf, Scalar, Target, Test};
use crate::limits::STAND_INS_MAX;

/// A value that is asked for: the name of the custom field, if it is one's, and the value as written.
type Value = (Option<String>, String);

/// Values that are asked for, and the texts that stand for each.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct StandIns(BTreeMap<Value, Vec<String>>);

impl StandIns {
    /// Finds what stands for the values of an expression: `find` is given the name of the custom field, if it is
    /// one's, and the value.
    ///
    /// # Errors
    /// [`Error::Request`] when there is more than a question may ask for.
    pub(crate) fn of(
        expr: &Expr,
        mut find: impl FnMut(Option<&str>, &str) -> Vec<String>,
    ) -> Result<Self, Error> {
        let mut all = BTreeMap::new();
        let mut left = STAND_INS_MAX;
        let mut is_over = false;
        expr.for_each_leaf(&mut |leaf| {
            let Some(field) = field(leaf) else { return };
            for value in values(&leaf.test) {
                let key = (field.map(str::to_owned), value);
                if is_over || all.contains_key(&key) {
                    continue;
                }
                let texts = find(field, &key.1);
                match left.checked_sub(texts.len()) {
                    Some(rest) => left = rest,
                    None => is_over = true,
                }
                if !texts.is_empty() {
                    all.insert(key, texts);
                }
            }
        });
        if is_over {
            return Err(Error::Request(format!(
                "more than STAND_INS_MAX = {STAND_INS_MAX} hashes stand for the values that are asked for; \
                 ask for fewer at once"
            )));
        }
        Ok(Self(all))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An expression that asks for what stands for its values, too.
    pub(crate) fn widen(&self, expr: Expr) -> Expr {
        let all = |parts: Vec<Expr>| parts.into_iter().map(|part| self.widen(part)).collect();
        match expr {
            Expr::All => Expr::All,
            Expr::And(parts) => Expr::and(all(parts)),
            Expr::Or(parts) => Expr::or(all(parts)),
            Expr::Not(inner) => Expr::not(self.widen(*inner)),
            Expr::Leaf(leaf) => self.widen_leaf(leaf),
        }
    }

    fn widen_leaf(&self, leaf: Leaf) -> Expr {
        let Some(field) = field(&leaf).map(|name| name.map(str::to_owned)) else {
            return Expr::Leaf(leaf);
        };
        let texts: Vec<String> = values(&leaf.test)
            .into_iter()
            .filter_map(|value| self.0.get(&(field.clone(), value)))
            .flatten()
            .cloned()
            .collect();
        let Leaf { target, test } = leaf;
        match test {
            Test::Equal(mut scalars) => {
                scalars.extend(texts.into_iter().map(Scalar::Text));
                Expr::Leaf(Leaf {
                    target,
                    test: Test::Equal(scalars),
                })
            }
            test => {
                let words = texts.into_iter().map(Test::Words);
                let tests = std::iter::once(test).chain(words);
                let leaf = |test| {
                    Expr::Leaf(Leaf {
                        target: target.clone(),
                        test,
                    })
                };
                Expr::or(tests.map(leaf).collect())
            }
        }
    }

    /// How many values, then of each: whether it is a custom field's, its name, the value, its texts.
    pub(crate) fn encode(&self, into: &mut Writer) {
        into.size(self.0.len());
        for ((field, value), texts) in &self.0 {
            into.byte(u8::from(field.is_some()));
            into.text(field.as_deref().unwrap_or_default());
            into.text(value);
            into.size(texts.len());
            for text in texts {
                into.text(text);
            }
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self, Error> {
        let damaged = || Error::Damaged("what stands for values");
        let mut all = BTreeMap::new();
        let mut left = STAND_INS_MAX;
        for _ in 0..from.size()? {
            let is_field = from.byte()? != 0;
            let field = from.text()?;
            let value = from.text()?;
            let count = from.size()?;
            left = left.checked_sub(count).ok_or_else(damaged)?;
            let texts = (0..count).map(|_| from.text()).collect::<Result<_, _>>()?;
            all.insert((is_field.then_some(field), value), texts);
        }
        Ok(Self(all))
    }
}

/// Prints no value.
impl std::fmt::Debug for StandIns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StandIns({})", self.0.len())
    }
}

/// The name of the custom field that is asked about, if it is one; `None` where values are not texts of
/// records.
fn field(leaf: &Leaf) -> Option<Option<&str>> {
    match &leaf.target {
        Target::Anywhere => Some(None),
        Target::Field(Field::Custom(name)) => Some(Some(name)),
        Target::Field(Field::Pii) => None,
        Target::Field(field) => match field.nature() {
            Nature::Text | Nature::Name => Some(None),
            Nature::Level | Nature::Time | Nature::Id | Nature::Custom => None,
        },
    }
}

/// The values that a test asks for.
fn values(test: &Test) -> Vec<String> {
    match test {
        Test::Words(words) => vec![words.clone()],
        Test::Equal(scalars) => scalars.iter().filter_map(text).collect(),
        Test::Wildcard(_)
        | Test::Substring(_)
        | Test::Regex(_)
        | Test::Exists
        | Test::Levels(_)
        | Test::Time { .. }
        | Test::LogId(_)
        | Test::ExceptionId(_)
        | Test::Range(_) => Vec::new(),
    }
}

/// A truth value is no personal data.
fn text(scalar: &Scalar) -> Option<String> {
    match scalar {
        Scalar::Text(text) => Some(text.clone()),
        Scalar::Number(number) => Some(number.to_string()),
        Scalar::Bool(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use hushlog_record::Timestamp;

    use super::*;
    use crate::Plan;

    fn plan(json: &str) -> Plan {
        Plan::new(json.as_bytes(), Timestamp::default()).expect("a good request")
    }

    /// Hashes whatever holds an `@`.
    fn hash(field: Option<&str>, value: &str) -> Vec<String> {
        match value.contains('@') {
            true => vec![format!("h:{}", field.unwrap_or("-")), "h2".into()],
            false => Vec::new(),
        }
    }

    #[test]
    fn values_are_asked_for_by_what_stands_for_them_too() {
        for (json, expected) in [
            (
                r#"{"query":"mail:a@b"}"#,
                "Or(fields.?:words, fields.?:words, fields.?:words)",
            ),
            (
                r#"{"query":"NOT a@b x"}"#,
                "And(Not(Or(*:words, *:words, *:words)), *:words)",
            ),
            (
                r#"{"query":"host:a@b OR x"}"#,
                "Or(host:words, host:words, host:words, *:words)",
            ),
            (
                r#"{"query":"mail:a@* mail:/a@b/ pii:a@b mail:>a@b"}"#,
                "And(fields.?:wildcard, fields.?:regex, pii:words, fields.?:range)",
            ),
            (
                r#"{"filters":{"fields":{"mail":["a@b",5,true]}}}"#,
                "fields.?:equal",
            ),
        ] {
            let mut plan = plan(json);
            plan.widen(hash).expect("few");
            assert_eq!(format!("{:?}", plan.rest), expected, "{json}");
            let back = Plan::decode(&plan.encode()).expect("read");
            assert!(
                back.rest == plan.rest && back.request.expr == plan.request.expr,
                "{json}"
            );
        }
    }

    #[test]
    fn a_list_grows_by_what_stands_for_its_values() {
        let mut plan = plan(r#"{"filters":{"fields":{"mail":["a@b","c"]}}}"#);
        plan.widen(hash).expect("few");
        // Twice is as once.
        plan.widen(hash).expect("few");
        let Expr::Leaf(Leaf {
            test: Test::Equal(values),
            ..
        }) = &plan.rest
        else {
            panic!("one list was asked for");
        };
        let texts: Vec<_> = values.iter().filter_map(text).collect();
        assert_eq!(texts, ["a@b", "c", "h:mail", "h2"]);
        assert!(!format!("{plan:?}").contains("h:mail"));
    }

    #[test]
    fn a_plan_without_is_written_as_before_and_too_many_are_refused() {
        let mut plain = plan(r#"{"query":"x"}"#);
        let before = plain.encode();
        plain.widen(hash).expect("none");
        assert_eq!(plain.encode(), before);
        let many: Vec<String> = (0..1_000).map(|i| format!("{i}@b")).collect();
        let json = serde_json::json!({"filters": {"fields": {"mail": many}}}).to_string();
        let mut many = plan(&json);
        let refused = many.widen(|_, _| vec![String::from("h"); 9]);
        let message = refused.expect_err("9,000").to_string();
        assert!(message.contains("STAND_INS_MAX"), "{message}");
    }
}
