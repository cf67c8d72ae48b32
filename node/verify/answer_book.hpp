// SPDX-License-Identifier: Apache-2.0
// What an auditor has answered but not yet revealed, kept on disk so that a restart loses nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/rlp.hpp"
#include "node/wallet/market.hpp"

namespace trainyard::node::verify {

/// One seat of an auditor: what it was drawn for.
struct Seat {
    uint64_t job = 0;
    uint32_t seg = 0, attempt = 0;
    wallet::SegmentState level = wallet::SegmentState::l0;
    uint8_t round = 0;
    auto operator<=>(const Seat&) const = default;
    [[nodiscard]] std::string text() const;  ///< "0-3-0-l0-0", also its file's name
    /// What `text` gave; nullopt for anything else.
    [[nodiscard]] static std::optional<Seat> from(std::string_view text);
};

[[nodiscard]] Bytes encode_answer(const wallet::RevealedAnswer& answer);
[[nodiscard]] Result<wallet::RevealedAnswer, rlp::Error> decode_answer(BytesView encoded);

/// A folder with one file per seat. An answer is on disk before its commitment is sent.
class AnswerBook {
public:
    explicit AnswerBook(std::string folder) : folder_(std::move(folder)) {}
    [[nodiscard]] std::optional<wallet::RevealedAnswer> find(const Seat& seat) const;
    [[nodiscard]] Result<Done, wallet::WalletError> keep(const Seat& seat,
                                                         const wallet::RevealedAnswer& answer);
    void forget(const Seat& seat);
    [[nodiscard]] std::vector<Seat> seats() const;  ///< with a file

private:
    [[nodiscard]] std::string path(const Seat& seat) const;
    std::string folder_;
};

}  // namespace trainyard::node::verify
