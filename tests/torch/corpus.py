"""The texts of the parity tests: 13 scripts, many lengths, and what breaks encoders."""

# ruff: noqa: RUF001  # letters that look like others are what is tested

from __future__ import annotations

_SENTENCES = {
    "latin": [
        "The kettle began to sing just before the rain reached the harbour.",
        "Wie lange bleibt ein Paket bei der Post, wenn niemand zu Hause ist?",
        "El molino viejo volvió a girar después de veinte años de silencio.",
        "Hôm nay chợ nổi mở cửa sớm hơn thường lệ vì nước lên cao.",
        "Insert a table, then drag its borders until every column fits.",
        "L'été dernier, nous avons compté 1 204 hirondelles au-dessus du pré.",
    ],
    "cyrillic": [
        "Старый трамвай медленно поднимается на холм и звенит на повороте.",
        "Как вставить таблицу в документ и изменить ширину столбцов?",
        "У маленькому містечку щоранку пахне свіжим хлібом.",
        "Рибарите се върнаха преди бурята с празни мрежи.",
    ],
    "greek": [
        "Το καΐκι έφυγε πριν ξημερώσει και γύρισε με το μελτέμι.",
        "Πώς αλλάζω το πλάτος μιας στήλης στον πίνακα;",
        "Η γιαγιά φύλαγε τα κλειδιά κάτω από τη γλάστρα.",
    ],
    "arabic": [
        "وصلت القافلة إلى الواحة قبل غروب الشمس بقليل.",
        "كيف أغير عرض العمود في الجدول؟",
        "کتابخانه تا ساعت هشت شب باز است و ورود رایگان است.",
        "اس گاؤں میں ہر جمعے کو بازار لگتا ہے۔",
    ],
    "hebrew": [
        "הדואר הגיע באיחור בגלל השלג בהרים.",
        "איך משנים את רוחב העמודה בטבלה?",
        "החתול ישן על גג המאפייה הישנה.",
    ],
    "devanagari": [
        "बारिश के बाद नदी का पानी पुल तक पहुँच गया।",
        "तालिका में स्तंभ की चौड़ाई कैसे बदलें?",
        "दर शुक्रवारी गावात आठवडी बाजार भरतो.",
    ],
    "bengali": [
        "নৌকাটি ভোরের কুয়াশার মধ্যে ঘাট ছেড়ে গেল।",
        "লাইব্রেরি আজ বিকেল পাঁচটায় বন্ধ হবে।",
    ],
    "tamil": [
        "மழை நின்றதும் குழந்தைகள் தெருவில் விளையாடினார்கள்.",
        "அட்டவணையின் அகலத்தை எப்படி மாற்றுவது?",
    ],
    "thai": [
        "เรือเล็กออกจากท่าก่อนฟ้าสางเพื่อไปหาปลา",
        "ฉันจะเปลี่ยนความกว้างของคอลัมน์ในตารางได้อย่างไร",
        "ร้านหนังสือเก่าตรงหัวมุมเปิดเฉพาะวันเสาร์",
    ],
    "han": [
        "雨停以后，孩子们跑到河边去看新来的船。",
        "如何在文档中插入表格并调整列宽？",
        "圖書館的舊書架後面藏著一扇小門。",
        "他用三年时间修好了祖父留下的钟。",
    ],
    "kana": [
        "坂の上のパン屋は、朝の六時には もう行列ができている。",
        "表の列の幅を変更するにはどうすればよいですか。",
        "ラジオから ながれる うたを、だれも しらなかった。",
    ],
    "hangul": [
        "할머니는 매일 아침 항구에서 갓 잡은 생선을 사 오셨다.",
        "표에서 열 너비를 어떻게 바꾸나요?",
        "눈이 그치자 마을 사람들이 모두 길을 쓸기 시작했다.",
    ],
    "georgian": [
        "მატარებელი გვიან ღამით ჩამოვიდა პატარა სადგურზე.",
        "როგორ შევცვალო სვეტის სიგანე ცხრილში?",
    ],
}

_EDGES = [
    "",
    " ",
    "\n\t \r\n",
    "\u3000\u00a0\u2003",
    "a",
    "?",
    "!!! ??? ...",
    "👍",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇵🇹 👍🏽 and words between 🎉🎉🎉",
    "</s>",
    "<s>",
    "<pad>",
    "<mask>",
    "<unk>",
    "a </s> b",
    "<s> a </s>",
    "before<pad>after <pad> <pad> the end",
    "one <mask> two<mask>three",
    "[CLS] a [SEP] b [MASK] [PAD] [UNK]",
    "< / s > </ s> <S> </S>",
    "a trailing space ",
    "a trailing newline\n",
    "  leading  and   inner    spaces",
    "windows\r\nline\r\nends\r\n",
    "tabs\tbetween\tcolumns",
    "\ufeffa byte order mark",
    "zero\u200bwidth\u200cjoiners\u200dand\u2060more",
    "right\u200fto\u202eleft\u202c marks",
    "controls \x00 \x01 \x1b[31m \x7f \x85 end",
    "e\u0301 is not é before normalisation, nor is ﬁ fi, ＡＢＣ１２３ ABC123",
    "ﷺ ㍿ ½ ² Ⅷ ™ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "\ufffd \ue000 \U000f0000 \U0010ffff",
    "𒀀𒁲 ᚠᚢᚦ 𓂀 ꙮ",
    "https://example.org/a/b?c=d&e=%20f#g user@example.org C:\\Temp\\x.txt",
    'def f(x):\n    return {"a": [1, 2.5e-3, None], **x}  # comment',
    "3.14159265358979 -0 1,000,000 0x1F 1e-9",
    "SHOUTING and whispering AND ShOuTiNg",
    "supercalifragilistic" * 12,
    "а" * 300,
    "字" * 400,
    "ab" * 3000,
    "\\N{BULLET} \\u0041 %s {} ${HOME} `ls`",
    "same same same Same SAME same",
]


def texts(max_length: int) -> list[str]:
    """Return all texts; the last ones are as long as the limit, in tokens, and longer."""
    every = [sentence for sentences in _SENTENCES.values() for sentence in sentences]
    ends = [f"{sentence}{end}" for sentence in every for end in (" ", "\n", "。")]
    paragraphs = [
        " ".join((sentences * 9)[: 2 + number])
        for number, sentences in enumerate(_SENTENCES.values())
    ]
    mixed = [f"{one} {two}" for one, two in zip(every, reversed(every), strict=True)]
    return [*every, *ends, *paragraphs, *mixed, *_EDGES, *_long(max_length)]


def _long(max_length: int) -> list[str]:
    """Make texts around the limit for a tokenizer that knows "table" as one token."""
    exact = [" ".join(["table"] * (max_length - 2 + more)) for more in (-1, 0, 1)]
    every = [sentence for sentences in _SENTENCES.values() for sentence in sentences]
    mixed = " ".join(every * (1 + max_length // 500))
    return [*exact, mixed] if max_length < 1000 else [mixed]
