//! NumPy's `.npy` files, as far as text features need them: matrices of f16, f32 or f64.
//!
//! The crate `npyz` 0.8 is not an alternative for untrusted files: its header parser overflows the stack on a header of 40 kB of
//! nested parentheses, and it allocates what the header's length field states, up to 4 GB.

use std::path::Path;

use half::f16;

use crate::DataError;
use crate::text_features::TextFeatures;

/// Reads a matrix `[classes, width]` from a `.npy` file: little-endian f16, f32 or f64, in C order, format 1 to 3.
///
/// # Errors
/// [`DataError::Io`], or [`DataError::Npy`] for anything else in the file: another type, order or number of
/// dimensions, a length that does not match the header, values that are not finite.
pub fn read_npy(path: &Path) -> Result<TextFeatures, DataError> {
    let bytes = std::fs::read(path).map_err(DataError::io("read", path))?;
    parse(&bytes, &format!("`{}`", path.display()))
}

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy's own limit: longer headers describe structured types.
const MAX_HEADER: usize = 65_536;

/// As [`read_npy`] on a file's bytes; `origin` names it in errors.
pub(crate) fn parse(bytes: &[u8], origin: &str) -> Result<TextFeatures, DataError> {
    let error = |problem: String| DataError::Npy {
        origin: origin.to_owned(),
        problem,
    };
    let (header, data) = split(bytes).map_err(error)?;
    let header = Header::parse(header).map_err(error)?;
    let (classes, width) = header.shape;
    let values = classes
        .checked_mul(width)
        .filter(|values| values.checked_mul(header.kind.size()) == Some(data.len()));
    let Some(values) = values else {
        let kind = header.kind.name();
        return Err(error(format!(
            "its header says {classes} × {width} {kind}, but {} bytes follow",
            data.len()
        )));
    };
    if values == 0 {
        return Err(error(format!("it is empty ({classes} × {width})")));
    }
    let data = header.kind.values(data);
    if let Some(position) = data.iter().position(|value| !value.is_finite()) {
        return Err(error(format!(
            "row {} holds {}",
            position / width,
            data.get(position).copied().unwrap_or_default()
        )));
    }
    Ok(TextFeatures { classes, width, data })
}

/// Header text and data.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    const TRUNCATED: &str = "it ends within its header";
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as one")?;
    let (&[major, _minor], rest) = rest.split_first_chunk().ok_or(TRUNCATED)?;
    let (length, rest) = match major {
        1 => {
            let (length, rest) = rest.split_first_chunk().ok_or(TRUNCATED)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk().ok_or(TRUNCATED)?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return Err(format!("its format version {major} is unknown")),
    };
    if length > MAX_HEADER {
        return Err(format!("its header claims {length} bytes"));
    }
    let (header, data) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
    Ok((std::str::from_utf8(header).map_err(|_| "its header is not text")?, data))
}

#[derive(Clone, Copy)]
enum Kind {
    F16,
    F32,
    F64,
}

impl Kind {
    fn parse(descr: &str) -> Result<Self, String> {
        match descr {
            "<f2" => Ok(Self::F16),
            "<f4" => Ok(Self::F32),
            "<f8" => Ok(Self::F64),
            other => Err(format!(
                "its type is `{other}`, not float16, float32 or float64 (little-endian)"
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    fn size(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn values(self, data: &[u8]) -> Vec<f32> {
        match self {
            Self::F16 => data
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f16::from_le_bytes(bytes).to_f32())
                .collect(),
            Self::F32 => data
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f32::from_le_bytes(bytes))
                .collect(),
            Self::F64 => data
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f64::from_le_bytes(bytes) as f32)
                .collect(),
        }
    }
}

struct Header {
    kind: Kind,
    shape: (usize, usize),
}

impl Header {
    /// Reads the header, a Python dictionary: `{'descr': '<f2', 'fortran_order': False, 'shape': (20, 512), }`.
    fn parse(text: &str) -> Result<Self, String> {
        let field = |name: &str| {
            let quoted = [format!("'{name}'"), format!("\"{name}\"")];
            let rest = quoted
                .iter()
                .find_map(|key| text.split_once(key.as_str()))
                .map(|(_, rest)| rest.trim_start());
            let rest = rest.and_then(|rest| rest.strip_prefix(':')).map(str::trim_start);
            rest.ok_or_else(|| format!("its header has no `{name}`"))
        };
        let descr = field("descr")?;
        let quote = descr.chars().next().filter(|quote| ['\'', '"'].contains(quote));
        let descr = quote
            .and_then(|quote| descr.get(1..)?.split_once(quote))
            .map(|(descr, _)| descr);
        let kind = Kind::parse(descr.ok_or("it holds a structured type")?)?;
        if !field("fortran_order")?.starts_with("False") {
            return Err("it is in Fortran order".to_owned());
        }
        let shape = field("shape")?
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(')'))
            .map(|(shape, _)| shape);
        let shape = shape.ok_or("its shape is unreadable")?;
        let sizes = shape
            .split(',')
            .map(str::trim)
            .filter(|size| !size.is_empty())
            .map(str::parse::<usize>);
        let sizes = sizes
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| format!("its shape ({shape}) is unreadable"))?;
        match sizes[..] {
            [classes, width] => Ok(Self {
                kind,
                shape: (classes, width),
            }),
            _ => Err(format!("its shape is ({shape}); a matrix of classes × width is needed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [
            MAGIC,
            &[1, 0],
            &(header.len() as u16).to_le_bytes(),
            header.as_bytes(),
            data,
        ]
        .concat()
    }

    fn problem(bytes: &[u8]) -> String {
        parse(bytes, "`x.npy`").unwrap_err().to_string()
    }

    #[test]
    fn all_versions_and_types_are_read() {
        let values = [1.5f32, -2.0, 0.25, 8.0, 0.0, 3.0];
        let f16s = values.map(|value| f16::from_f32(value).to_le_bytes()).concat();
        let f32s = values.map(f32::to_le_bytes).concat();
        let f64s = values.map(|value| f64::from(value).to_le_bytes()).concat();
        for (descr, data) in [("<f2", f16s), ("<f4", f32s), ("<f8", f64s)] {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 3), }}   \n");
            let mut long = [
                MAGIC,
                &[2, 0],
                &(header.len() as u32).to_le_bytes(),
                header.as_bytes(),
                &data,
            ]
            .concat();
            let expected = TextFeatures {
                classes: 2,
                width: 3,
                data: values.to_vec(),
            };
            assert_eq!(parse(&file(&header, &data), "x").unwrap(), expected);
            assert_eq!(parse(&long, "x").unwrap(), expected);
            long[6] = 3;
            assert_eq!(parse(&long, "x").unwrap(), expected);
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1)}", &[0; 8]);
        assert!(parse(&whole, "x").is_ok());
        for length in 0..whole.len() {
            assert!(parse(&whole[..length], "x").is_err(), "{length}");
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        let with = |header: &str| problem(&file(header, &[0; 8]));
        assert!(with("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1)}").contains("Fortran"));
        assert!(with("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 1)}").contains("`>f4`"));
        assert!(with("{'descr': '|O', 'fortran_order': False, 'shape': (2, 1)}").contains("`|O`"));
        assert!(with("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}").contains("structured"));
        assert!(with("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}").contains("a matrix"));
        assert!(with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -1)}").contains("unreadable"));
        assert!(
            with("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}")
                .contains("8 bytes follow")
        );
        assert!(
            with("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2)}")
                .contains("8 bytes follow")
        );
        assert!(with("{'descr': '<f4', 'shape': (2, 1)}").contains("no `fortran_order`"));
        assert!(problem(&file("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1)}", &[])).contains("empty"));
        let not_finite = f32::NAN.to_le_bytes();
        assert!(
            problem(&file(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1)}",
                &not_finite
            ))
            .contains("NaN")
        );
        assert!(problem(&[MAGIC, &[2, 0], &[255; 4]].concat()).contains("claims 4294967295 bytes"));
        assert!(problem(&[MAGIC, &[9, 0, 0, 0]].concat()).contains("version 9"));
        assert!(problem(b"PK\x03\x04").contains("does not begin"));
    }
}
