//! Writes plain values and tensors in protocol 2, as `torch.save` does.

use serde_json::Value as Json;

use crate::Dtype;

/// A pickle under construction. Items of a container are written between `open` and one of the closing calls.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0x80, 2] }
    }

    /// Ends the pickle; exactly one value has been written.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(b'.');
        self.bytes
    }

    /// Begins a dict; keys and values follow in turn.
    pub(crate) fn open_dict(&mut self) {
        self.bytes.extend(b"}(");
    }

    /// Begins a `collections.OrderedDict`.
    pub(crate) fn open_ordered_dict(&mut self) {
        self.ordered_dict();
        self.bytes.push(b'(');
    }

    /// Ends a dict of either kind.
    pub(crate) fn close_dict(&mut self) {
        self.bytes.push(b'u');
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    pub(crate) fn integer(&mut self, value: i64) {
        match i32::try_from(value) {
            Ok(value) => {
                self.bytes.push(b'J');
                self.bytes.extend(value.to_le_bytes());
            }
            Err(_) => {
                self.bytes.extend([0x8a, 8]);
                self.bytes.extend(value.to_le_bytes());
            }
        }
    }

    /// A tuple of texts.
    pub(crate) fn texts(&mut self, texts: &[String]) {
        self.bytes.push(b'(');
        for text in texts {
            self.text(text);
        }
        self.bytes.push(b't');
    }

    /// A plain value: JSON's arrays become lists, its objects dicts.
    pub(crate) fn json(&mut self, value: &Json) {
        match value {
            Json::Null => self.bytes.push(b'N'),
            Json::Bool(value) => self.bytes.push(if *value { 0x88 } else { 0x89 }),
            Json::Number(number) => match number.as_i64() {
                Some(value) => self.integer(value),
                None => {
                    self.bytes.push(b'G');
                    self.bytes.extend(number.as_f64().unwrap_or(f64::NAN).to_be_bytes());
                }
            },
            Json::String(text) => self.text(text),
            Json::Array(items) => {
                self.bytes.extend(b"](");
                for item in items {
                    self.json(item);
                }
                self.bytes.push(b'e');
            }
            Json::Object(entries) => {
                self.open_dict();
                for (key, value) in entries {
                    self.text(key);
                    self.json(value);
                }
                self.close_dict();
            }
        }
    }

    /// A row-major tensor that fills the storage `key`.
    pub(crate) fn tensor(&mut self, key: &str, dtype: Dtype, shape: &[usize]) {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.bytes.extend(b"((");
        self.text("storage");
        self.global("torch", dtype.storage_class());
        self.text(key);
        self.text("cpu");
        let elements: usize = shape.iter().product();
        self.integer(elements as i64);
        self.bytes.extend(b"tQ");
        self.integer(0);
        self.sizes(shape.iter().copied());
        let strides = (0..shape.len()).map(|axis| shape.iter().skip(axis + 1).product());
        self.sizes(strides);
        self.bytes.push(0x89); // requires_grad
        self.ordered_dict(); // hooks
        self.bytes.extend(b"tR");
    }

    fn sizes(&mut self, sizes: impl Iterator<Item = usize>) {
        self.bytes.push(b'(');
        for size in sizes {
            self.integer(size as i64);
        }
        self.bytes.push(b't');
    }

    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.bytes.extend(b")R");
    }

    fn global(&mut self, module: &str, name: &str) {
        self.bytes.push(b'c');
        self.bytes.extend(module.as_bytes());
        self.bytes.push(b'\n');
        self.bytes.extend(name.as_bytes());
        self.bytes.push(b'\n');
    }
}
