//! Reads label matrices out of MATLAB 5 files, which the SBD and PASCAL Context label files are.
//!
//! Only what those need: little- or big-endian files of version 5 (MATLAB's `-v6` and `-v7`), zlib-compressed
//! variables, structures and full real matrices of two dimensions. Every size in the file is checked against the bytes
//! that are there before anything is allocated, and compressed variables stop at [`MAX_INFLATED_BYTES`].
//!
//! Format: *MAT-File Format*, The MathWorks, chapter "Level 5 MAT-File Format".

use std::borrow::Cow;
use std::io::Read;

/// A label file's matrix in rows: `[height, width]` of the values as stored (0–255 in SBD, 0–459 in PASCAL Context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMatrix {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Values, row by row.
    pub values: Vec<u16>,
}

/// Why a MATLAB file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Mat5Error {
    /// The file is MATLAB 7.3's, which is HDF5 inside.
    #[error("it is a MATLAB 7.3 (HDF5) file; save it again with `-v7`")]
    Hdf5,
    /// The file does not start as a MATLAB 5 file does.
    #[error("it is not a MATLAB 5 file")]
    NotMatlab,
    /// An element says it is longer than the rest of the file.
    #[error("it is cut off or damaged: {0}")]
    Damaged(&'static str),
    /// A compressed variable inflates to more than any label map needs.
    #[error("a variable inflates to more than {} MiB", MAX_INFLATED_BYTES >> 20)]
    TooLarge,
    /// The variable or field that holds the labels is not there.
    #[error("it has no `{wanted}` (it has: {})", found.join(", "))]
    Missing {
        /// The variable or field looked for.
        wanted: String,
        /// Names found at that place.
        found: Vec<String>,
    },
    /// The label matrix is not what a label matrix is.
    #[error("its `{name}` is {found}, not a matrix of labels (whole numbers from 0 to 65535)")]
    NotLabels {
        /// The variable or field.
        name: String,
        /// What it is instead.
        found: &'static str,
    },
}

/// The largest variable that is inflated: 16 Mpixel of 32 bits.
pub const MAX_INFLATED_BYTES: u64 = 64 << 20;

/// Reads the matrix at `path`: a variable and then field names, such as `["GTcls", "Segmentation"]`.
///
/// # Errors
/// See [`Mat5Error`]; the message does not name the file.
pub fn read_label_matrix(file: &[u8], path: &[&str]) -> Result<LabelMatrix, Mat5Error> {
    let (variable, fields) = path.split_first().ok_or(Mat5Error::Damaged("no variable was asked for"))?;
    let mut elements = Elements { endian: read_header(file)?, rest: file.get(HEADER_BYTES..).unwrap_or_default() };
    let mut found = Vec::new();
    while let Some(mut element) = elements.next()? {
        let inflated;
        if element.kind == MI_COMPRESSED {
            inflated = inflate(element.data)?;
            element = Elements { rest: &inflated, ..elements }.expect("a compressed variable is empty")?;
        }
        if element.kind != MI_MATRIX {
            continue;
        }
        let matrix = Matrix::parse(element.data, elements.endian)?;
        if matrix.name == *variable {
            return descend(matrix, variable, fields);
        }
        found.push(matrix.name);
    }
    Err(Mat5Error::Missing { wanted: (*variable).to_owned(), found })
}

const HEADER_BYTES: usize = 128;
/// More fields or longer names than any label file has are damage.
const MAX_FIELDS: usize = 1024;

const MI_INT8: u32 = 1;
const MI_UINT8: u32 = 2;
const MI_INT16: u32 = 3;
const MI_UINT16: u32 = 4;
const MI_INT32: u32 = 5;
const MI_UINT32: u32 = 6;
const MI_SINGLE: u32 = 7;
const MI_DOUBLE: u32 = 9;
const MI_MATRIX: u32 = 14;
const MI_COMPRESSED: u32 = 15;

const MX_STRUCT: u8 = 2;
const MX_OBJECT: u8 = 3;
const MX_FIRST_NUMERIC: u8 = 6;
const MX_LAST_NUMERIC: u8 = 15;
const COMPLEX_FLAG: u32 = 1 << 11;

#[derive(Clone, Copy)]
enum Endian {
    Little,
    Big,
}

impl Endian {
    fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }
}

fn read_header(file: &[u8]) -> Result<Endian, Mat5Error> {
    if file.starts_with(b"MATLAB 7.3") || file.starts_with(b"\x89HDF") {
        return Err(Mat5Error::Hdf5);
    }
    let (endian, version) = match file.get(124..HEADER_BYTES) {
        Some(&[low, high, b'I', b'M']) => (Endian::Little, u16::from_le_bytes([low, high])),
        Some(&[high, low, b'M', b'I']) => (Endian::Big, u16::from_be_bytes([high, low])),
        _ => return Err(Mat5Error::NotMatlab),
    };
    match version {
        0x0100 => Ok(endian),
        0x0200 => Err(Mat5Error::Hdf5),
        _ => Err(Mat5Error::NotMatlab),
    }
}

fn inflate(compressed: &[u8]) -> Result<Vec<u8>, Mat5Error> {
    let mut inflated = Vec::new();
    let decoder = flate2::read::ZlibDecoder::new(compressed);
    decoder
        .take(MAX_INFLATED_BYTES + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| Mat5Error::Damaged("a compressed variable does not inflate"))?;
    if inflated.len() as u64 > MAX_INFLATED_BYTES {
        return Err(Mat5Error::TooLarge);
    }
    Ok(inflated)
}

/// A data element: its type and bytes.
#[derive(Clone, Copy)]
struct Element<'a> {
    kind: u32,
    data: &'a [u8],
}

/// The data elements that follow one another in `rest`.
#[derive(Clone, Copy)]
struct Elements<'a> {
    endian: Endian,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// The next element, or `None` at the end.
    fn next(&mut self) -> Result<Option<Element<'a>>, Mat5Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        const CUT_OFF: Mat5Error = Mat5Error::Damaged("an element is longer than the file");
        let (tag, after) = self.rest.split_first_chunk::<4>().ok_or(CUT_OFF)?;
        let tag = self.endian.u32(*tag);
        // The "small" form keeps up to four bytes of data in the tag itself, and the length in its upper half.
        let (kind, length, start, padded) = if tag >> 16 == 0 {
            let (length, after) = after.split_first_chunk::<4>().ok_or(CUT_OFF)?;
            let length = self.endian.u32(*length) as usize;
            // Compressed variables are the only ones that are not padded to eight bytes.
            let padded = if tag == MI_COMPRESSED { Some(length) } else { length.checked_next_multiple_of(8) };
            (tag, length, after, padded)
        } else {
            (tag & 0xFFFF, (tag >> 16) as usize, after, Some(4))
        };
        let data = start.get(..length).ok_or(CUT_OFF)?;
        // Writers leave the padding of the last element out.
        let padded = padded.ok_or(CUT_OFF)?.max(length).min(start.len());
        self.rest = start.get(padded..).unwrap_or_default();
        Ok(Some(Element { kind, data }))
    }

    fn expect(&mut self, damage: &'static str) -> Result<Element<'a>, Mat5Error> {
        self.next()?.ok_or(Mat5Error::Damaged(damage))
    }
}

/// A variable or field: what precedes its values, and the elements that hold them.
struct Matrix<'a> {
    class: u8,
    complex: bool,
    dimensions: Vec<u32>,
    name: String,
    contents: Elements<'a>,
}

impl<'a> Matrix<'a> {
    fn parse(data: &'a [u8], endian: Endian) -> Result<Self, Mat5Error> {
        let mut contents = Elements { endian, rest: data };
        let flags = contents.expect("a matrix has no flags")?.data;
        let flags = flags.first_chunk::<4>().ok_or(Mat5Error::Damaged("the flags of a matrix are too short"))?;
        let flags = endian.u32(*flags);
        let dimensions = contents.expect("a matrix has no dimensions")?.data;
        let dimensions = dimensions.as_chunks().0.iter().map(|&bytes| endian.u32(bytes)).collect();
        let name = contents.expect("a matrix has no name")?.data;
        let name = text(name).into_owned();
        Ok(Self { class: (flags & 0xFF) as u8, complex: flags & COMPLEX_FLAG != 0, dimensions, name, contents })
    }

    fn describe(&self) -> &'static str {
        match self.class {
            1 => "a cell array",
            MX_STRUCT => "a structure",
            MX_OBJECT => "an object",
            4 => "text",
            5 => "a sparse matrix",
            MX_FIRST_NUMERIC..=MX_LAST_NUMERIC if self.complex => "complex",
            MX_FIRST_NUMERIC..=MX_LAST_NUMERIC => "an array of other dimensions",
            _ => "of an unknown kind",
        }
    }

    /// The fields of the first structure of a structure array, by name.
    fn fields(mut self) -> Result<Vec<(String, Element<'a>)>, Mat5Error> {
        const NAMES: &str = "the field names of a structure are damaged";
        if self.class == MX_OBJECT {
            self.contents.expect(NAMES)?;
        }
        let length = self.contents.expect(NAMES)?.data;
        let length = length.first_chunk::<4>().ok_or(Mat5Error::Damaged(NAMES))?;
        let length = self.contents.endian.u32(*length) as usize;
        let names = self.contents.expect(NAMES)?.data;
        if length == 0 || names.len() % length != 0 || names.len() / length > MAX_FIELDS {
            return Err(Mat5Error::Damaged(NAMES));
        }
        let names = names.chunks_exact(length).map(|name| text(name).into_owned());
        let mut fields = Vec::new();
        for name in names {
            fields.push((name, self.contents.expect("a structure has fewer fields than names")?));
        }
        Ok(fields)
    }

    fn labels(mut self, name: &str) -> Result<LabelMatrix, Mat5Error> {
        let not_labels = |found| Mat5Error::NotLabels { name: name.to_owned(), found };
        let numeric = (MX_FIRST_NUMERIC..=MX_LAST_NUMERIC).contains(&self.class) && !self.complex;
        let (true, &[height, width]) = (numeric, self.dimensions.as_slice()) else {
            return Err(not_labels(self.describe()));
        };
        let element = self.contents.expect("a matrix has no values")?;
        let columns = decode(element, self.contents.endian).ok_or_else(|| not_labels("not made of whole numbers"))?;
        // The product is compared, never allocated, before it is known to be the number of values in the file.
        if u64::from(width) * u64::from(height) != columns.len() as u64 {
            return Err(Mat5Error::Damaged("a matrix has more or fewer values than its dimensions say"));
        }
        let (rows, columns_count) = (height as usize, width as usize);
        let mut values = vec![0; columns.len()];
        for (x, column) in columns.chunks_exact(rows.max(1)).enumerate() {
            let targets = values.iter_mut().skip(x).step_by(columns_count.max(1));
            targets.zip(column).for_each(|(target, &value)| *target = value);
        }
        Ok(LabelMatrix { width, height, values })
    }
}

fn descend(matrix: Matrix<'_>, name: &str, fields: &[&str]) -> Result<LabelMatrix, Mat5Error> {
    let Some((field, deeper)) = fields.split_first() else {
        return matrix.labels(name);
    };
    if matrix.class != MX_STRUCT && matrix.class != MX_OBJECT {
        return Err(Mat5Error::NotLabels { name: name.to_owned(), found: matrix.describe() });
    }
    let endian = matrix.contents.endian;
    let found = matrix.fields()?;
    let Some((_, element)) = found.iter().find(|(name, _)| name == field) else {
        let found = found.into_iter().map(|(name, _)| name).collect();
        return Err(Mat5Error::Missing { wanted: format!("{name}.{field}"), found });
    };
    if element.kind != MI_MATRIX {
        return Err(Mat5Error::Damaged("a field is not a matrix"));
    }
    descend(Matrix::parse(element.data, endian)?, &format!("{name}.{field}"), deeper)
}

/// The whole numbers of an element, whichever type MATLAB stored them in; `None` if one is not a label.
fn decode(element: Element<'_>, endian: Endian) -> Option<Vec<u16>> {
    let data = element.data;
    match element.kind {
        MI_UINT8 => Some(data.iter().map(|&value| value.into()).collect()),
        MI_INT8 => data.iter().map(|&value| u16::try_from(value as i8).ok()).collect(),
        MI_UINT16 => all::<2>(data, |bytes| Some(endian.u16(bytes))),
        MI_INT16 => all::<2>(data, |bytes| u16::try_from(endian.u16(bytes) as i16).ok()),
        MI_UINT32 => all::<4>(data, |bytes| u16::try_from(endian.u32(bytes)).ok()),
        MI_INT32 => all::<4>(data, |bytes| u16::try_from(endian.u32(bytes) as i32).ok()),
        MI_SINGLE => all::<4>(data, |bytes| whole(f32::from_bits(endian.u32(bytes)).into())),
        MI_DOUBLE => all::<8>(data, |bytes| whole(f64::from_bits(endian.u64(bytes)))),
        _ => None,
    }
}

fn all<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> Option<u16>) -> Option<Vec<u16>> {
    data.as_chunks().0.iter().map(|&bytes| value(bytes)).collect()
}

fn whole(value: f64) -> Option<u16> {
    (value.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(&value)).then_some(value as u16)
}

/// Text up to the first zero byte.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What MATLAB and SciPy write, built by hand so that each test can break one thing.
    mod build {
        use super::super::*;
        use std::io::Write;

        pub(super) fn element(kind: u32, data: &[u8]) -> Vec<u8> {
            let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
            bytes.extend(data);
            if kind != MI_COMPRESSED {
                bytes.resize(bytes.len().next_multiple_of(8), 0);
            }
            bytes
        }

        pub(super) fn matrix(class: u8, dimensions: [u32; 2], name: &str, contents: &[u8]) -> Vec<u8> {
            let flags = element(MI_UINT32, &[u32::from(class).to_le_bytes(), [0; 4]].concat());
            let dimensions = element(MI_INT32, &dimensions.map(u32::to_le_bytes).concat());
            let name = element(MI_INT8, name.as_bytes());
            element(MI_MATRIX, &[flags, dimensions, name, contents.to_vec()].concat())
        }

        pub(super) fn compressed(contents: &[u8]) -> Vec<u8> {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(contents).unwrap();
            element(MI_COMPRESSED, &encoder.finish().unwrap())
        }

        pub(super) fn file(variables: &[Vec<u8>]) -> Vec<u8> {
            let mut file = vec![b' '; 124];
            file.extend([0, 1, b'I', b'M']);
            file.extend(variables.concat());
            file
        }

        pub(super) fn segmentation(values: &[u8], dimensions: [u32; 2]) -> Vec<u8> {
            let names = b"Boundaries\0\0\0\0\0\0Segmentation\0\0\0\0";
            // The small element form for the length of names, as MATLAB writes it.
            let length = [(4_u32 << 16 | MI_INT32).to_le_bytes(), 16_u32.to_le_bytes()].concat();
            let boundaries = matrix(1, [0, 0], "", &[]);
            let labels = matrix(9, dimensions, "", &element(MI_UINT8, values));
            let contents = [length, element(MI_INT8, names), boundaries, labels].concat();
            matrix(MX_STRUCT, [1, 1], "GTcls", &contents)
        }
    }

    const PATH: [&str; 2] = ["GTcls", "Segmentation"];

    #[test]
    fn columns_become_rows() {
        let variable = build::segmentation(&[1, 2, 3, 4, 5, 6], [2, 3]);
        let expected = LabelMatrix { width: 3, height: 2, values: vec![1, 3, 5, 2, 4, 6] };
        let other = build::matrix(6, [1, 1], "other", &build::element(MI_UINT8, &[9]));
        assert_eq!(read_label_matrix(&build::file(&[other.clone(), variable.clone()]), &PATH).unwrap(), expected);
        let file = build::file(&[build::compressed(&other), build::compressed(&variable)]);
        assert_eq!(read_label_matrix(&file, &PATH).unwrap(), expected);
    }

    #[test]
    fn labels_may_be_stored_as_any_number() {
        let doubles = [300.0_f64, 0.0].map(f64::to_le_bytes).concat();
        let shorts = [300_u16, 0].map(u16::to_le_bytes).concat();
        for (kind, data) in [(MI_DOUBLE, doubles), (MI_UINT16, shorts)] {
            let file = build::file(&[build::matrix(6, [1, 2], "LabelMap", &build::element(kind, &data))]);
            assert_eq!(read_label_matrix(&file, &["LabelMap"]).unwrap().values, [300, 0]);
        }
        let halves = build::element(MI_DOUBLE, &0.5_f64.to_le_bytes());
        let file = build::file(&[build::matrix(6, [1, 1], "LabelMap", &halves)]);
        let error = read_label_matrix(&file, &["LabelMap"]).unwrap_err().to_string();
        assert!(error.contains("`LabelMap` is not made of whole numbers"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let file = build::file(&[build::segmentation(&[0], [1, 1])]);
        let error = read_label_matrix(&file, &["GTinst", "Segmentation"]).unwrap_err();
        assert_eq!(error.to_string(), "it has no `GTinst` (it has: GTcls)");
        let error = read_label_matrix(&file, &["GTcls", "Labels"]).unwrap_err();
        assert_eq!(error.to_string(), "it has no `GTcls.Labels` (it has: Boundaries, Segmentation)");
        let error = read_label_matrix(&file, &["GTcls"]).unwrap_err().to_string();
        assert!(error.contains("`GTcls` is a structure"), "{error}");
        let error = read_label_matrix(&file, &["GTcls", "Boundaries"]).unwrap_err().to_string();
        assert!(error.contains("`GTcls.Boundaries` is a cell array"), "{error}");
    }

    #[test]
    fn sizes_are_checked_before_they_are_believed() {
        let file = build::file(&[build::segmentation(&[1, 2], [u32::MAX, u32::MAX])]);
        let error = read_label_matrix(&file, &PATH).unwrap_err();
        assert!(matches!(error, Mat5Error::Damaged(_)), "{error}");
        let bomb = build::compressed(&vec![0; (MAX_INFLATED_BYTES + 1) as usize]);
        assert!(matches!(read_label_matrix(&build::file(&[bomb]), &PATH), Err(Mat5Error::TooLarge)));
    }

    #[test]
    fn no_cut_and_no_flipped_byte_panics() {
        for variable in [
            build::segmentation(&[1, 2, 3, 4, 5, 6], [2, 3]),
            build::compressed(&build::segmentation(&[1, 2, 3, 4, 5, 6], [2, 3])),
        ] {
            let file = build::file(&[variable]);
            for length in 0..file.len() {
                let cut = &file[..length];
                assert!(read_label_matrix(cut, &PATH).is_err() || length + 8 > file.len(), "{length}");
            }
            for position in 120..file.len() {
                for bit in 0..8 {
                    let mut damaged = file.clone();
                    damaged[position] ^= 1 << bit;
                    // Whatever it says, it must say it.
                    let _ = read_label_matrix(&damaged, &PATH).map_err(|error| error.to_string());
                }
            }
        }
    }

    #[test]
    fn other_files_are_told_apart() {
        assert!(matches!(read_label_matrix(b"MATLAB 7.3 MAT-file", &PATH), Err(Mat5Error::Hdf5)));
        assert!(matches!(read_label_matrix(b"\x89PNG\r\n", &PATH), Err(Mat5Error::NotMatlab)));
        assert!(matches!(read_label_matrix(&[], &PATH), Err(Mat5Error::NotMatlab)));
    }
}
