# Judges the key encoder by the BEAM's own order.
#
# Makes up nasty terms, has the filter $KEY_FILTER encode and decode each from
# one of its external forms, and checks
#
#   - decode(encode(t)) =:= t, and that key_size() cuts the encoding;
#   - for random pairs, and for all neighbours in the order of the encodings:
#     a < b implies enc(a) < enc(b), a =:= b if and only if they are equal,
#     and of two that are == but not =:= the one with the integer comes first;
#   - that two external forms of one term give one encoding;
#   - for pairs of terms: the concatenation sorts by the first, then by the
#     second, and the range of all pairs with the first component K is
#     [enc(K), enc(K) FB).
#
# SEED=n repeats a run, ROUNDS=n makes it longer or shorter.

defmodule Terms do
  @moduledoc false

  import Bitwise

  # Numbers that provoke ties: {1.0, a} < {1, b} although 1 < 1.0 elsewhere.
  def tie(depth) do
    case depth > 0 && rnd(5) do
      0 -> List.to_tuple(many(4, fn -> tie(depth - 1) end))
      1 -> many(4, fn -> tie(depth - 1) end)
      2 -> Map.new(many(3, fn -> {tie(depth - 1), tie(depth - 1)} end))
      3 -> [tie(depth - 1) | tie(depth - 1)]
      _ -> pick([1, 1.0, 2, 2.0, 1.5, 0, 0.0, -1, -1.0, :a])
    end
  end

  def term(depth) do
    if depth == 0 or rnd(3) > 0, do: leaf(), else: compound(depth - 1)
  end

  defp leaf do
    case rnd(17) do
      n when n < 4 -> integer()
      n when n < 7 -> float()
      n when n < 9 -> atom()
      n when n < 11 -> binary()
      11 -> bits()
      12 -> pid()
      13 -> port()
      14 -> ref()
      15 -> pick([[], {}, %{}, true, false, nil])
      16 -> export()
    end
  end

  defp compound(depth) do
    case rnd(12) do
      n when n < 4 ->
        List.to_tuple(many(if(rnd(50) == 0, do: 20, else: 4), fn -> term(depth) end))

      n when n < 6 ->
        many(4, fn -> term(depth) end)

      6 ->
        for _ <- 0..rnd(6), do: rnd(256)

      7 ->
        [term(depth) | term(depth)]

      8 ->
        Enum.reduce(0..rnd(3), improper_tail(depth), fn _, tail -> [term(depth) | tail] end)

      9 ->
        Map.new(many(if(rnd(40) == 0, do: 45, else: 5), fn -> {term(depth), term(depth)} end))

      10 ->
        Map.new(for n <- 1..rnd(4)//1, do: {pick([n, n * 1.0, :a, {n}]), tie(1)})

      11 ->
        function(depth)
    end
  end

  defp improper_tail(depth),
    do: pick([fn -> binary() end, fn -> bits() end, fn -> term(depth) end]).()

  @edges for(e <- 7..10, do: 1 <<< e) ++
           for(
             e <-
               [15, 16, 23, 24, 31, 32, 39, 40, 47, 48, 52, 53, 54, 55, 56, 59, 60] ++
                 [62, 63, 64, 65, 71, 72, 80, 120, 128, 140],
             do: 1 <<< e
           )

  def integer do
    case rnd(8) do
      n when n < 2 ->
        rnd(300) - 150

      n when n < 5 ->
        sign(pick(@edges) + rnd(5) - 2)

      5 ->
        sign(:rand.uniform(1 <<< (1 + rnd(140))))

      6 ->
        sign(rnd(65536) * (1 <<< (8 * rnd(18))))

      7 ->
        if rnd(60) == 0,
          do: sign(1 <<< (8 * pick([240, 254, 255, 256, 257, 300]))) + rnd(3) - 1,
          else: rnd(10)
    end
  end

  # There is no -0.0 here: OTP tells it from 0.0 from 27 on only.
  def float do
    positive_zero(
      case rnd(10) do
        0 ->
          (rnd(600) - 300) / 1

        1 ->
          (rnd(600) - 300) / pick([2, 3, 4, 7, 8, 10, 1024])

        2 ->
          sign(
            pick([5.0e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 1.0e-300, 1.0e-17])
          )

        3 ->
          sign(
            pick([1.7976931348623157e308, 1.0e300, 1.0e100, 1.0e22, 1.0e23, 1.8446744073709552e19])
          )

        4 ->
          sign((1 <<< pick([52, 53, 54, 62, 63, 64, 65, 72, 100])) + (rnd(5) - 2) * 1.0)

        5 ->
          sign((1 <<< 53) / pick([1, 2, 4, 8, 16, 1024]) - rnd(8) / 8)

        6 ->
          sign(pick([8.0, 9.0, 127.0, 128.0, 255.0, 256.0, 257.0, 65535.0, 65536.0]))

        7 ->
          :rand.normal()

        _ ->
          any_float()
      end
    )
  end

  defp positive_zero(x), do: if(x == 0, do: 0.0, else: x)

  defp any_float do
    case :rand.bytes(8) do
      <<x::float>> -> x
      _ -> any_float()
    end
  end

  @characters [
    0,
    1,
    2,
    0x61,
    0x62,
    0x7F,
    0x80,
    0xE9,
    0xFF,
    0x100,
    0x7FF,
    0x800,
    0x20AC,
    0xFFFD,
    0x10000,
    0x1F600,
    0x10FFFF
  ]

  def atom do
    case rnd(5) do
      0 ->
        pick([
          true,
          false,
          nil,
          :fals,
          :falsf,
          :falsd,
          :false_,
          :ni,
          :nik,
          :nim,
          :nila,
          :tru,
          :trud,
          :truf,
          :truea,
          :"",
          :e,
          :g,
          :m,
          :o,
          :s,
          :u
        ])

      1 ->
        pick([:a, :b, :ab, :ok, :error, :"a\0", :"a\x01", :A, :zebra, :é, :ÿ, :あ, :"😀"])

      2 ->
        :erlang.binary_to_atom(String.duplicate(<<pick(@characters)::utf8>>, pick([1, 2, 255])))

      # Not many more: an atom is for ever.
      _ ->
        :erlang.binary_to_atom(
          for(_ <- 0..rnd(2), into: "", do: <<Enum.at(@characters, rnd(17))::utf8>>)
        )
    end
  end

  def binary do
    size = pick([0, 1, 2, 3, 6, 7, 8, 9, 13, 15, 16, 17, 33])

    case rnd(3) do
      0 ->
        for(_ <- 1..size//1, into: "", do: <<pick([0, 1, 2, 0xFE, 0xFF, 0x61])>>)

      1 ->
        :binary.copy("a", size) <>
          for(_ <- 1..rnd(3)//1, into: "", do: <<pick([0, 1, 2, 0xFE, 0xFF])>>)

      2 ->
        :rand.bytes(size)
    end
  end

  def bits do
    head = binary()
    count = rnd(8)
    <<head::binary, pick([0, 1, rnd(256)])::size(count)>>
  end

  @nodes [:nonode@nohost, :a@b, :"a@b\0", :"a@b\x01", :c@d, :é@x, :"", :a]
  @creations [0, 1, 2, 3, 4, 255, 256, 0xFDFFFFFF, 0xFE000000, 0xFF000000, 0xFFFFFFFF]
  @words [0, 1, 2, 255, 256, 0xFE000000, 0xFF000000, 0xFFFFFFFF]

  def pid do
    case rnd(4) do
      0 -> pick(:erlang.get(:own_pids))
      _ -> made_up(88, [<<word()::32, word()::32>>])
    end
  end

  def port do
    case rnd(4) do
      0 -> pick(:erlang.ports())
      1 -> made_up(120, [<<word()::32, word()::32>>])
      _ -> made_up(89, [<<word()::32>>])
    end
  end

  def ref do
    case rnd(4) do
      0 ->
        make_ref()

      1 ->
        pick(:erlang.get(:own_refs))

      _ ->
        # OTP 25 does not find those of one word again in a large map; see
        # other_form/1.
        count = 2 + rnd(4)
        words = for _ <- 1..count, do: <<word()::32>>
        {name, creation} = other_node()
        decode([90, <<count::16>>, form(name), <<creation::32>>, words])
    end
  end

  defp made_up(tag, numbers) do
    {name, creation} = other_node()
    decode([tag, form(name), numbers, <<creation::32>>])
  end

  # Any but this one, which takes only what it may have made.
  defp other_node do
    case {pick(@nodes), pick(@creations)} do
      {name, 0} when name == node() -> other_node()
      other -> other
    end
  end

  defp word, do: if(rnd(3) == 0, do: rnd(1 <<< 32), else: pick(@words))

  def export do
    m = pick([:lists, :maps, :a, :"a\0", :é])
    f = pick([:map, :a, :"a\x01", :"\x01"])
    decode([113, form(m), form(f), 97, pick([0, 1, 2, 239, 240, 254, 255, rnd(256)])])
  end

  def function(depth) do
    case rnd(3) do
      0 ->
        x = term(depth)
        y = term(depth)
        pick([fn -> x end, fn a -> {a, x} end, fn a -> {a, x, y} end])

      1 ->
        pick(:erlang.get(:own_funs))

      2 ->
        # One build of a module: what is not compared follows from the rest.
        m = pick([:m, :n, :é])
        index = pick([0, 1, 7, 255, 256, 70000])
        uniq = pick([0, 1, 255, 256, 0x7FFFFFF, -1, -9])
        free = many(3, fn -> term(depth) end)

        parts =
          IO.iodata_to_binary([
            <<rem(index, 256), :erlang.phash2({m, index, uniq})::128, index::32,
              length(free)::32>>,
            form(m),
            <<98, index + 1::32, 98, uniq::32>>,
            form(pid()),
            Enum.map(free, &form/1)
          ])

        decode([112, <<byte_size(parts) + 4::32>>, parts])
    end
  end

  defp decode(iodata), do: :erlang.binary_to_term(IO.iodata_to_binary([131 | iodata]))
  defp form(term), do: without_version(:erlang.term_to_binary(term, minor_version: 2))
  defp without_version(<<131, rest::binary>>), do: rest

  # An external form of the term, of those that a peer may send.
  def external(t) do
    case rnd(6) do
      n when n < 3 -> without_version(:erlang.term_to_binary(t, minor_version: n))
      _ -> IO.iodata_to_binary(other_form(t))
    end
  end

  # The forms that OTP does not write, but reads.
  defp other_form(t) when is_integer(t) do
    cond do
      t in 0..255 and rnd(3) == 0 -> <<97, t>>
      t in -0x80000000..0x7FFFFFFF and rnd(2) == 0 -> <<98, t::32>>
      true -> big_form(t)
    end
  end

  defp other_form(t) when is_float(t) do
    if rnd(2) == 0 do
      <<70, t::float>>
    else
      text = :erlang.float_to_binary(t, [{:scientific, 20}])
      <<99, text::binary, 0::size((31 - byte_size(text)) * 8)>>
    end
  end

  defp other_form(t) when is_atom(t) do
    utf8 = Atom.to_string(t)
    latin1 = :unicode.characters_to_binary(utf8, :utf8, :latin1)

    case {rnd(4), is_binary(latin1)} do
      {0, true} -> [<<100, byte_size(latin1)::16>>, latin1]
      {1, true} when byte_size(latin1) < 256 -> [115, byte_size(latin1), latin1]
      {2, _} when byte_size(utf8) < 256 -> [119, byte_size(utf8), utf8]
      _ -> [<<118, byte_size(utf8)::16>>, utf8]
    end
  end

  defp other_form(t) when is_binary(t) do
    if t != "" and rnd(2) == 0,
      do: [<<77, byte_size(t)::32, 8>>, t],
      else: [<<109, byte_size(t)::32>>, t]
  end

  defp other_form(t) when is_bitstring(t) do
    # The bits behind the last one may be anything.
    bits = rem(bit_size(t), 8)
    padded = <<t::bitstring, rnd(256)::size(8 - bits)>>
    [<<77, byte_size(padded)::32, bits>>, padded]
  end

  defp other_form([]), do: pick([<<106>>, <<107, 0::16>>, <<108, 0::32, 106>>])
  defp other_form([_ | _] = t), do: list_form(t)

  defp other_form(t) when is_tuple(t) do
    elements = Enum.map(Tuple.to_list(t), &other_form/1)

    if tuple_size(t) < 256 and rnd(2) == 0,
      do: [104, tuple_size(t), elements],
      else: [<<105, tuple_size(t)::32>>, elements]
  end

  defp other_form(t) when is_map(t) do
    pairs = Enum.shuffle(Map.to_list(t))
    [<<116, map_size(t)::32>>, Enum.map(pairs, fn {k, v} -> [other_form(k), other_form(v)] end)]
  end

  defp other_form(t) when is_pid(t) do
    case form(t) do
      <<88, rest::binary>> -> tiny(rest, 88, 103)
    end
  end

  defp other_form(t) when is_port(t) do
    case form(t) do
      <<89, rest::binary>> -> if rnd(2) == 0, do: tiny(rest, 89, 102), else: port_form(rest)
      other -> other
    end
  end

  defp other_form(t) when is_reference(t) do
    <<90, count::16, rest::binary>> = form(t)
    name = byte_size(rest) - 4 - 4 * count
    <<atom::binary-size(name), creation::32, words::binary>> = rest
    words = if rnd(2) == 0, do: without_zeros(words), else: words
    count = div(byte_size(words), 4)

    cond do
      creation > 3 or rnd(2) == 0 -> [<<90, count::16>>, atom, <<creation::32>>, words]
      count == 1 and rnd(2) == 0 -> [101, atom, words, creation]
      true -> [<<114, count::16>>, atom, creation, words]
    end
  end

  defp other_form(t), do: form(t)

  # A reference ends with its highest words; zeros there mean nothing.
  defp without_zeros(words) when byte_size(words) > 4 do
    size = byte_size(words) - 4

    case words do
      <<front::binary-size(size), 0::32>> -> without_zeros(front)
      _ -> words
    end
  end

  defp without_zeros(words), do: words

  defp port_form(rest) do
    head = byte_size(rest) - 8
    <<atom::binary-size(head), id::32, creation::32>> = rest
    [120, atom, <<id::64, creation::32>>]
  end

  # The forms whose creation takes one byte.
  defp tiny(rest, wide, narrow) do
    head = byte_size(rest) - 4
    <<front::binary-size(head), creation::32>> = rest
    if creation < 4 and rnd(2) == 0, do: [narrow, front, creation], else: [wide, rest]
  end

  defp big_form(t) do
    digits = <<abs(t)::little-unit(8)-size(max(1, div(bit_length(abs(t)) + 7, 8)))>>
    digits = if t == 0 and rnd(2) == 0, do: "", else: digits
    digits = digits <> :binary.copy(<<0>>, pick([0, 0, 1, 3, 9]))
    sign = if t < 0, do: 1, else: 0

    if byte_size(digits) < 256 and rnd(4) > 0,
      do: [110, byte_size(digits), sign, digits],
      else: [<<111, byte_size(digits)::32>>, sign, digits]
  end

  defp bit_length(0), do: 0
  defp bit_length(n), do: length(Integer.digits(n, 2))

  # A list may go on in its tail, as a list or as a string.
  defp list_form([_ | _] = t) do
    {elements, tail} = proper_part(t, [])
    string? = Enum.all?(elements, &(is_integer(&1) and &1 in 0..255))

    cond do
      tail == [] and string? and rnd(3) > 0 ->
        [<<107, length(elements)::16>>, elements]

      length(elements) > 1 and rnd(3) == 0 ->
        {front, back} = Enum.split(elements, 1 + rnd(length(elements) - 1))
        [<<108, length(front)::32>>, Enum.map(front, &other_form/1), other_form(back ++ tail)]

      true ->
        [<<108, length(elements)::32>>, Enum.map(elements, &other_form/1), other_form(tail)]
    end
  end

  defp proper_part([h | t], acc), do: proper_part(t, [h | acc])
  defp proper_part(t, acc), do: {Enum.reverse(acc), t}

  # The kinds of the integral numbers outside the keys of maps, in order:
  # what tells apart terms that are == but not =:=.
  def kinds(t) when is_integer(t), do: [0]
  def kinds(t) when is_float(t), do: if(trunc(t) == t, do: [1], else: [])
  def kinds([h | t]), do: kinds(h) ++ kinds(t)
  def kinds(t) when is_tuple(t), do: Enum.flat_map(Tuple.to_list(t), &kinds/1)

  # Maps of one pair compare as their keys do in a map.
  def kinds(t) when is_map(t) do
    t
    |> Enum.sort(fn {a, _}, {b, _} -> %{a => 0} <= %{b => 0} end)
    |> Enum.flat_map(fn {_, value} -> kinds(value) end)
  end

  def kinds(t) when is_function(t) do
    case :erlang.fun_info(t, :env) do
      {:env, free} -> Enum.flat_map(free, &kinds/1)
    end
  end

  def kinds(_), do: []

  # Identifiers and funs of this node, the funs made by several processes.
  def prepare do
    me = self()

    own =
      for n <- 1..8 do
        x = pick([1, 1.0, 2, :a])

        pid =
          spawn(fn ->
            send(me, {self(), [fn -> x end, fn a -> {a, x} end]})
            Process.sleep(:infinity)
          end)

        receive do
          {^pid, funs} -> {pid, make_ref(), [(&lists_like/1) | funs], n}
        end
      end

    :erlang.put(:own_pids, Enum.map(own, &elem(&1, 0)))
    :erlang.put(:own_refs, Enum.map(own, &elem(&1, 1)))
    :erlang.put(:own_funs, Enum.flat_map(own, &elem(&1, 2)))
  end

  defp lists_like(x), do: x

  def rnd(n), do: :rand.uniform(n) - 1
  def pick(list), do: Enum.at(list, rnd(length(list)))
  def many(max, fun), do: for(_ <- 1..rnd(max)//1, do: fun.())
  defp sign(x), do: if(rnd(2) == 0, do: x, else: -x)
end

defmodule KeyOrder do
  @moduledoc false

  @terms 20_000
  @pairs 300_000
  @composites 100_000

  @too_big 3

  def main do
    filter = System.get_env("KEY_FILTER") || raise "KEY_FILTER is not set"
    seed = String.to_integer(System.get_env("SEED") || "#{:erlang.system_time(:microsecond)}")
    rounds = String.to_integer(System.get_env("ROUNDS") || "20")
    IO.puts("SEED=#{seed}")

    sums =
      for round <- 1..rounds do
        :rand.seed(:exsss, {seed, round, 0})
        Terms.prepare()
        one_round(filter)
      end

    negative_zero(filter)

    [terms, bytes, pairs, composites] = Enum.zip_with(sums, &Enum.sum/1)

    IO.puts(
      "#{terms} terms of #{Float.round(bytes / terms, 1)} bytes encoded, " <>
        "#{pairs} pairs and #{composites} composites compared: no violation"
    )
  end

  defp one_round(filter) do
    terms =
      for n <- 1..@terms do
        if rem(n, 4) == 0, do: Terms.tie(3), else: Terms.term(4)
      end

    # Every fourth one goes in a second time, in another form.
    inputs = terms ++ Enum.take_every(terms, 4)
    outputs = encode(filter, inputs)

    known =
      Enum.zip(inputs, outputs)
      |> Enum.flat_map(fn {term, {external, key, decoded, status}} ->
        cond do
          status == @too_big and byte_size(external) > 3000 ->
            []

          status != 0 ->
            fail("status #{status}", [term, external])

          :erlang.binary_to_term(<<131, decoded::binary>>) !== term ->
            fail("no round trip", [term, external, key, decoded])

          true ->
            [{term, key}]
        end
      end)

    all = List.to_tuple(known)

    for _ <- 1..@pairs do
      {a, key_a} = any(all)
      {b, key_b} = any(all)
      compare(a, key_a, b, key_b)
    end

    sorted = Enum.sort_by(known, &elem(&1, 1))

    Enum.zip_with(sorted, tl(sorted), fn {a, key_a}, {b, key_b} ->
      compare(a, key_a, b, key_b)
    end)

    composites(List.to_tuple(sorted))

    bytes = Enum.sum(Enum.map(known, &byte_size(elem(&1, 1))))
    [length(known), bytes, @pairs + length(known) - 1, @composites]
  end

  # What sort of pair is this, and are the keys of that sort?
  defp compare(a, key_a, b, key_b) do
    right =
      cond do
        a === b -> key_a == key_b
        a == b -> key_a != key_b and key_a < key_b == Terms.kinds(a) < Terms.kinds(b)
        a < b -> key_a < key_b
        true -> key_a > key_b
      end

    right || fail("wrong order", [a, b, key_a, key_b])
  end

  defp composites(sorted) do
    size = tuple_size(sorted)

    for _ <- 1..@composites do
      # The neighbours of a key are those that share a beginning with it.
      at = Terms.rnd(size)
      near = min(size - 1, max(0, at + Terms.rnd(7) - 3))
      {k1, key1} = elem(sorted, at)
      {k2, key2} = elem(sorted, near)
      {v1, value1} = any(sorted)
      {v2, value2} = any(sorted)

      right =
        cond do
          k1 !== k2 -> key1 <> value1 < key2 <> value2 == key1 < key2
          v1 === v2 -> key1 <> value1 == key2 <> value2
          true -> key1 <> value1 < key2 <> value2 == value1 < value2
        end

      right || fail("wrong order of pairs", [{k1, v1}, {k2, v2}, {key1, value1}, {key2, value2}])

      in_range = key2 <> value2 >= key1 and key2 <> value2 < key1 <> <<0xFB>>
      in_range == (k1 === k2) || fail("wrong range", [k1, {k2, v2}, key1, {key2, value2}])
    end
  end

  # -0.0 is told from 0.0 by its bits alone before OTP 27.
  defp negative_zero(filter) do
    minus = <<70, 0x8000000000000000::64>>
    plus = <<70, 0::64>>
    around = [<<97, 0>>, minus, plus, <<70, 5.0e-324::float>>, <<97, 1>>]
    below = [<<98, -1::32>>, <<70, -5.0e-324::float>>]

    for wrap <- [& &1, &<<104, 2, &1::binary, 106>>, &<<108, 1::32, &1::binary, 106>>] do
      externals = Enum.map(below ++ around, wrap)
      outputs = run(filter, externals)
      keys = Enum.map(outputs, &elem(&1, 0))
      keys == Enum.sort(keys) || fail("-0.0 is not between -1 and 0.0", keys)

      Enum.zip_with(externals, outputs, fn external, {_, decoded, 0} ->
        external == decoded or :binary.match(external, <<98>>) != :nomatch ||
          fail("no round trip", [external, decoded])
      end)
    end
  end

  defp any(tuple), do: elem(tuple, Terms.rnd(tuple_size(tuple)))

  defp encode(filter, terms) do
    externals = Enum.map(terms, &Terms.external/1)

    Enum.zip_with(externals, run(filter, externals), fn external, {key, decoded, status} ->
      {external, key, decoded, status}
    end)
  end

  defp run(filter, externals) do
    base = Path.join(System.tmp_dir!(), "key_order_#{System.pid()}")
    input = base <> ".in"
    output = base <> ".out"

    try do
      File.write!(input, Enum.map(externals, &[<<byte_size(&1)::32>>, &1]))
      script = ~s(exec "$0" < "$1" > "$2")
      {text, 0} = System.cmd("sh", ["-c", script, filter, input, output], stderr_to_stdout: true)
      text == "" || IO.puts(text)
      parse(File.read!(output), [])
    after
      File.rm(input)
      File.rm(output)
    end
  end

  defp parse("", acc), do: Enum.reverse(acc)

  defp parse(
         <<k::32, key::binary-size(k), t::32, term::binary-size(t), status, rest::binary>>,
         acc
       ),
       do: parse(rest, [{key, term, status} | acc])

  defp fail(what, details) do
    IO.puts("FAILED: #{what}")
    for d <- details, do: IO.inspect(d, limit: :infinity, base: :hex)
    System.halt(1)
  end
end

KeyOrder.main()
