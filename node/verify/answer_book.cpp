// SPDX-License-Identifier: Apache-2.0
// Files of answers, written atomically.
#include "node/verify/answer_book.hpp"

#include "node/wallet/files.hpp"

namespace trainyard::node::verify {

std::string Seat::text() const {
    return std::to_string(job) + "-" + std::to_string(seg) + "-" + std::to_string(attempt) +
           (level == wallet::SegmentState::l1 ? "-l1-" : "-l0-") + std::to_string(round);
}

Bytes encode_answer(const wallet::RevealedAnswer& answer) {
    rlp::Writer out;
    out.begin_list().number(static_cast<uint64_t>(answer.verdict)).begin_list();
    for (const auto& hash : answer.answers) out.fixed(hash);
    out.end_list().fixed(answer.salt).end_list();
    return out.take();
}

Result<wallet::RevealedAnswer, rlp::Error> decode_answer(BytesView encoded) {
    rlp::Reader top(encoded);
    auto fields = top.list();
    if (!fields) return unexpected(fields.error());
    if (auto done = top.finish(); !done) return unexpected(done.error());
    const auto verdict = fields->number();
    if (!verdict) return unexpected(verdict.error());
    if (*verdict > 2) return unexpected(rlp::Error::too_long);
    auto hashes = fields->list();
    if (!hashes) return unexpected(hashes.error());
    wallet::RevealedAnswer out;
    out.verdict = static_cast<wallet::Verdict>(*verdict);
    while (!hashes->at_end()) {
        const auto hash = hashes->fixed<Hash>();
        if (!hash) return unexpected(hash.error());
        out.answers.push_back(*hash);
    }
    const auto salt = fields->fixed<Hash>();
    if (!salt) return unexpected(salt.error());
    out.salt = *salt;
    if (auto done = fields->finish(); !done) return unexpected(done.error());
    return out;
}

std::string AnswerBook::path(const Seat& seat) const {
    return folder_ + "/" + seat.text();
}

std::optional<wallet::RevealedAnswer> AnswerBook::find(const Seat& seat) const {
    const auto content = wallet::read_file(path(seat), 1 << 20);
    if (!content) return std::nullopt;
    auto answer = decode_answer(*content);
    if (!answer) return std::nullopt;
    return std::move(*answer);
}

Result<Done, wallet::WalletError> AnswerBook::keep(const Seat& seat,
                                                   const wallet::RevealedAnswer& answer) {
    if (auto made = wallet::make_folder(folder_); !made) return made;
    return wallet::write_file(path(seat), encode_answer(answer), wallet::FileMode::owner_only);
}

void AnswerBook::forget(const Seat& seat) {
    wallet::remove_file(path(seat));
}

}  // namespace trainyard::node::verify
