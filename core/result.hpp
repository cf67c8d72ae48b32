// SPDX-License-Identifier: Apache-2.0
// Expected failures as values: the names of std::expected (C++23), for a C++20 compiler.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "core/assert.hpp"

namespace trainyard {

/// The value of an operation that succeeds with nothing to say.
struct Done {
    bool operator==(const Done&) const = default;
};

template <class E>
class Unexpected {
public:
    explicit Unexpected(E error) : error_(std::move(error)) {}
    [[nodiscard]] const E& error() const& { return error_; }
    [[nodiscard]] E&& error() && { return std::move(error_); }

private:
    E error_;
};

template <class E>
[[nodiscard]] Unexpected<std::decay_t<E>> unexpected(E&& error) {
    return Unexpected<std::decay_t<E>>(std::forward<E>(error));
}

/// Either a T or an error E. `value()` on an error is a bug and stops the program.
template <class T, class E>
class [[nodiscard]] Result {
public:
    using value_type = T;
    using error_type = E;

    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    template <class G>
    requires std::is_constructible_v<E, G> Result(Unexpected<G> e)
        : state_(std::in_place_index<1>, std::move(e).error()) {}

    [[nodiscard]] bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }

    [[nodiscard]] T& value() & { return check(), std::get<0>(state_); }
    [[nodiscard]] const T& value() const& { return check(), std::get<0>(state_); }
    [[nodiscard]] T&& value() && { return check(), std::move(std::get<0>(state_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    [[nodiscard]] const E& error() const& {
        ASSERT(!has_value());
        return std::get<1>(state_);
    }
    [[nodiscard]] E&& error() && {
        ASSERT(!has_value());
        return std::move(std::get<1>(state_));
    }
    template <class U>
    [[nodiscard]] T value_or(U&& fallback) const& {
        return has_value() ? std::get<0>(state_) : static_cast<T>(std::forward<U>(fallback));
    }

private:
    void check() const { ASSERT(has_value()); }
    std::variant<T, E> state_;
};

}  // namespace trainyard
