// SPDX-License-Identifier: Apache-2.0
// Characters of UTF-8: the borders of the Unicode Standard's table 3-7.
#include "core/utf8.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace trainyard {

TEST(utf8, knows_the_first_and_the_last_character_of_each_size) {
    using namespace std::string_view_literals;
    for (const auto character :
         {"\0"sv, "\x7f"sv, "\xc2\x80"sv, "\xdf\xbf"sv, "\xe0\xa0\x80"sv, "\xed\x9f\xbf"sv,
          "\xee\x80\x80"sv, "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv}) {
        EXPECT_EQ(utf8_char_size(character), character.size());
        EXPECT_EQ(utf8_char_size(std::string(character) + "x"), character.size());
        const size_t left = character.size() > 1 ? 0 : 1;
        EXPECT_EQ(utf8_char_size(character.substr(0, 1)), left);
    }
    EXPECT_EQ(utf8_char_size(""), 0u);
}

TEST(utf8, rejects_long_forms_surrogates_and_what_is_above_all_planes) {
    for (const auto* broken : {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                               "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"})
        EXPECT_EQ(utf8_char_size(broken), 0u) << broken;
    EXPECT_EQ(utf8_char_size("\xe2\x82x"), 0u);
    EXPECT_EQ(utf8_char_size("\xf0\x9f\x98"), 0u);
}

TEST(utf8, tells_control_characters) {
    for (const auto* control : {"\x01", "\x1b[2J", "\x1f", "\x7f", "\xc2\x80", "\xc2\x9b"})
        EXPECT_TRUE(is_control(control));
    for (const auto* shown : {" ", "~", "\xc2\xa0", "\xe2\x82\xac", "\x9b", ""})
        EXPECT_FALSE(is_control(shown));
}

TEST(utf8, what_a_terminal_may_be_shown_has_no_controls) {
    for (const std::string text :
         {"plain\n", "h\u00e9llo", "\ud55c\uad6d\uc5b4", "\U0001f682", "\u00a0"})
        EXPECT_EQ(printable(as_bytes(text), LineEnds::kept), text);
    const std::pair<std::string, std::string> pairs[] = {
        {"\x1b[2J", "?[2J"},  // an escape of the terminal
        {"\xc2\x9b"
         "2J",
         "?2J"},                  // the same as one control of 8 bits
        {"\xc0\xaf", "??"},       // "/" in two bytes
        {"\xed\xa0\x80", "???"},  // half of a pair
        {"\xf4\x90\x80\x80", "????"},
        {"\xe2\x82", "??"},
        {"a\xff\x80z", "a??z"},
        {"\r\t\x7f", "???"}};
    for (const auto& [bytes, text] : pairs)
        EXPECT_EQ(printable(as_bytes(bytes), LineEnds::kept), text);
    EXPECT_EQ(printable(as_bytes("a\nb"), LineEnds::kept), "a\nb");
    EXPECT_EQ(printable(as_bytes("a\nb"), LineEnds::replaced), "a?b");
}

}  // namespace trainyard
