//! The single-byte code pages that text is commonly decoded with by mistake.

/// C1 controls, the lower half of the ISO code pages.
macro_rules! c1_controls {
    () => {
        "\u{80}\u{81}\u{82}\u{83}\u{84}\u{85}\u{86}\u{87}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{8d}\u{8e}\u{8f}\
         \u{90}\u{91}\u{92}\u{93}\u{94}\u{95}\u{96}\u{97}\u{98}\u{99}\u{9a}\u{9b}\u{9c}\u{9d}\u{9e}\u{9f}"
    };
}

/// The byte that stands for U+FFFD in a [lossy](CodePage::lossy) code page.
pub(crate) const SUBSTITUTE: u8 = 0x1a;

/// A single-byte encoding whose lower half is ASCII.
#[derive(Debug)]
pub(crate) struct CodePage {
    /// Characters of the bytes 0x80 to 0xff. Bytes that the standard leaves open stand for the control character of the
    /// same number, as in Latin-1 and in browsers.
    high: &'static str,
    /// Whether the byte 0x1a, which has no use in text, stands for U+FFFD: a character lost in an earlier conversion.
    pub(crate) lossy: bool,
}

impl CodePage {
    pub(crate) const LATIN_1: Self = Self {
        high: concat!(
            c1_controls!(),
            "\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿",
            "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß",
            "àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ",
        ),
        lossy: false,
    };

    /// Western European.
    pub(crate) const WINDOWS_1252: Self = Self {
        high: "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ\
               \u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿\
               ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß\
               àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ",
        lossy: true,
    };

    /// Cyrillic.
    pub(crate) const WINDOWS_1251: Self = Self {
        high: "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—\u{98}™љ›њќћџ\
               \u{a0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{ad}®Ї°±Ііґµ¶·ё№є»јЅѕї\
               АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ\
               абвгдежзийклмнопрстуфхцчшщъыьэюя",
        lossy: true,
    };

    /// Central European.
    pub(crate) const WINDOWS_1250: Self = Self {
        high: "€\u{81}‚\u{83}„…†‡\u{88}‰Š‹ŚŤŽŹ\u{90}‘’“”•–—\u{98}™š›śťžź\
               \u{a0}ˇ˘Ł¤Ą¦§¨©Ş«¬\u{ad}®Ż°±˛ł´µ¶·¸ąş»Ľ˝ľż\
               ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß\
               ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙",
        lossy: true,
    };

    /// Greek.
    pub(crate) const WINDOWS_1253: Self = Self {
        high: "€\u{81}‚ƒ„…†‡\u{88}‰\u{8a}‹\u{8c}\u{8d}\u{8e}\u{8f}\
               \u{90}‘’“”•–—\u{98}™\u{9a}›\u{9c}\u{9d}\u{9e}\u{9f}\
               \u{a0}΅Ά£¤¥¦§¨©ª«¬\u{ad}®―°±²³΄µ¶·ΈΉΊ»Ό½ΎΏ\
               ΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡÒΣΤΥΦΧΨΩΪΫάέήί\
               ΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώÿ",
        lossy: true,
    };

    /// Turkish.
    pub(crate) const WINDOWS_1254: Self = Self {
        high: "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}\u{8e}\u{8f}\
               \u{90}‘’“”•–—˜™š›œ\u{9d}\u{9e}Ÿ\
               \u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿\
               ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏĞÑÒÓÔÕÖ×ØÙÚÛÜİŞß\
               àáâãäåæçèéêëìíîïğñòóôõö÷øùúûüışÿ",
        lossy: true,
    };

    /// Baltic.
    pub(crate) const WINDOWS_1257: Self = Self {
        high: "€\u{81}‚\u{83}„…†‡\u{88}‰\u{8a}‹\u{8c}¨ˇ¸\
               \u{90}‘’“”•–—\u{98}™\u{9a}›\u{9c}¯˛\u{9f}\
               \u{a0}\u{a1}¢£¤\u{a5}¦§Ø©Ŗ«¬\u{ad}®Æ°±²³´µ¶·ø¹ŗ»¼½¾æ\
               ĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻŠŃŅÓŌÕÖ×ŲŁŚŪÜŻŽß\
               ąįāćäåęēčéźėģķīļšńņóōõö÷ųłśūüżž˙",
        lossy: true,
    };

    /// Central European.
    pub(crate) const ISO_8859_2: Self = Self {
        high: concat!(
            c1_controls!(),
            "\u{a0}Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u{ad}ŽŻ°ą˛ł´ľśˇ¸šşťź˝žż",
            "ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß",
            "ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙",
        ),
        lossy: false,
    };

    pub(crate) const MAC_ROMAN: Self = Self {
        high: "ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü\
               †°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø\
               ¿¡¬√ƒ≈∆«»…\u{a0}ÀÃÕŒœ–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ\
               ‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ\u{f8ff}ÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ",
        lossy: false,
    };

    /// The terminal of DOS and of Windows in the United States.
    pub(crate) const CP437: Self = Self {
        high: "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ\
               áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
               └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
               αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}",
        lossy: false,
    };

    /// The byte of `c`, or none if the code page does not have it.
    pub(crate) fn byte(&self, c: char) -> Option<u8> {
        match c {
            '\u{fffd}' if self.lossy => Some(SUBSTITUTE),
            '\u{1a}' if self.lossy => None,
            '\0'..='\u{7f}' => u8::try_from(c).ok(),
            _ => self
                .high
                .chars()
                .zip(0x80..=0xff)
                .find(|&(high, _)| high == c)
                .map(|(_, byte)| byte),
        }
    }

    /// The bytes of `text`, or none if the code page lacks one of its characters.
    pub(crate) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|c| self.byte(c)).collect()
    }

    /// What this code page has in the place of a C1 control; other characters stay.
    pub(crate) fn replace_c1_control(&self, c: char) -> char {
        match c {
            '\u{80}'..='\u{9f}' => self.high.chars().nth(c as usize - 0x80).unwrap_or(c),
            _ => c,
        }
    }
}

/// The code pages in the order in which a repair tries them: the likely ones first.
pub(crate) static CANDIDATES: [CodePage; 10] = [
    CodePage::LATIN_1,
    CodePage::WINDOWS_1252,
    CodePage::WINDOWS_1251,
    CodePage::WINDOWS_1250,
    CodePage::WINDOWS_1253,
    CodePage::WINDOWS_1254,
    CodePage::WINDOWS_1257,
    CodePage::ISO_8859_2,
    CodePage::MAC_ROMAN,
    CodePage::CP437,
];

/// Those whose upper half has letters where UTF-8 has its first bytes, Latin-1 and the code pages of Windows.
pub(crate) fn latin_like() -> &'static [CodePage] {
    CANDIDATES.get(..7).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_byte_has_its_own_character() {
        for page in &CANDIDATES {
            let characters: HashSet<char> = page.high.chars().filter(|c| !c.is_ascii()).collect();
            assert_eq!(
                (page.high.chars().count(), characters.len()),
                (128, 128),
                "{}",
                page.high
            );
        }
    }

    #[test]
    fn characters_have_the_bytes_that_the_standards_give_them() {
        let bytes = |c| CANDIDATES.iter().map(|page| page.byte(c)).collect::<Vec<_>>();
        let e9 = Some(0xe9);
        assert_eq!(bytes('é'), [e9, e9, None, e9, None, e9, e9, e9, Some(0x8e), Some(0x82)]);
        assert_eq!(bytes('a'), [Some(b'a'); 10]);
        assert_eq!(CodePage::WINDOWS_1251.encode("мир"), Some(vec![0xec, 0xe8, 0xf0]));
        assert_eq!(CodePage::WINDOWS_1253.encode("Ω"), Some(vec![0xd9]));
        assert_eq!(CodePage::LATIN_1.encode("€"), None);
    }

    #[test]
    fn lost_characters_have_a_byte_in_lossy_pages_only() {
        assert_eq!(CodePage::WINDOWS_1252.encode("a\u{fffd}"), Some(vec![b'a', SUBSTITUTE]));
        assert_eq!(CodePage::WINDOWS_1252.byte('\u{1a}'), None);
        assert_eq!(
            (CodePage::LATIN_1.byte('\u{1a}'), CodePage::LATIN_1.byte('\u{fffd}')),
            (Some(SUBSTITUTE), None)
        );
    }
}
