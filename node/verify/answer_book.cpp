// SPDX-License-Identifier: Apache-2.0
// Files of answers, written atomically.
#include "node/verify/answer_book.hpp"

#include <algorithm>
#include <charconv>

#include "node/wallet/files.hpp"

namespace trainyard::node::verify {

std::string Seat::text() const {
    return std::to_string(job) + "-" + std::to_string(seg) + "-" + std::to_string(attempt) +
           (level == wallet::SegmentState::l1 ? "-l1-" : "-l0-") + std::to_string(round);
}

std::optional<Seat> Seat::from(std::string_view text) {
    Seat out;
    const auto next = [&text](auto& number) {
        const auto field = text.substr(0, text.find('-'));
        text.remove_prefix(std::min(field.size() + 1, text.size()));
        const auto [end, error] =
            std::from_chars(field.data(), field.data() + field.size(), number);
        return error == std::errc{} && end == field.data() + field.size();
    };
    const std::string_view all = text;
    if (!next(out.job) || !next(out.seg) || !next(out.attempt)) return std::nullopt;
    if (text.starts_with("l1-")) out.level = wallet::SegmentState::l1;
    text.remove_prefix(std::min<size_t>(3, text.size()));
    if (!next(out.round) || out.text() != all) return std::nullopt;
    return out;
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

std::vector<Seat> AnswerBook::seats() const {
    std::vector<Seat> out;
    for (const auto& name : wallet::list_folder(folder_))
        if (const auto seat = Seat::from(name)) out.push_back(*seat);
    return out;
}

}  // namespace trainyard::node::verify
