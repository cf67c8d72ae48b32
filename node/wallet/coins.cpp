// SPDX-License-Identifier: Apache-2.0
// Exact decimals, without floats.
#include "node/wallet/coins.hpp"

namespace trainyard::node::wallet {

std::string coins(const Uint256& wei) {
    std::string digits = to_decimal(wei);
    if (digits.size() <= 18) digits.insert(0, 19 - digits.size(), '0');
    std::string whole = digits.substr(0, digits.size() - 18);
    std::string part = digits.substr(digits.size() - 18);
    while (!part.empty() && part.back() == '0') part.pop_back();
    return part.empty() ? whole : whole + "." + part;
}

std::string in_coins(const Uint256& wei) {
    return coins(wei) + (wei == Uint256(kWeiInCoin) ? " coin" : " coins");
}

std::optional<Uint256> parse_coins(std::string_view text) {
    size_t places = 18;
    if (text.ends_with("gwei")) {
        places = 9;
        text.remove_suffix(4);
    } else if (text.ends_with("wei")) {
        places = 0;
        text.remove_suffix(3);
    }
    const auto dot = std::min(text.find('.'), text.size());
    const auto whole = text.substr(0, dot);
    const auto part = dot == text.size() ? std::string_view() : text.substr(dot + 1);
    if (whole.empty() || part.size() > places || (dot != text.size() && part.empty()))
        return std::nullopt;
    std::string digits =
        std::string(whole) + std::string(part) + std::string(places - part.size(), '0');
    if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
    return parse_uint256(digits);
}

}  // namespace trainyard::node::wallet
