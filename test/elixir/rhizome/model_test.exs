defmodule Rhizome.ModelTest do
  # Random commands, from both sides, through held sets and batches, against
  # the model. A failure is made as short as it gets and printed with the seed
  # that all runs are derived from: ExUnit's own, or SEED where that is set.
  use Rhizome.Case, async: true

  alias Rhizome.{Commands, Model}

  @runs 200
  @commands 150
  @check_every 25

  @tag timeout: 180_000
  test "the store does what the model does" do
    for seed <- seeds() do
      :rand.seed(:exsss, seed)
      commands = Commands.generate(@commands)

      with {:failed, why} <- run(commands) do
        commands = shrink(commands)
        {:failed, why} = with(:ok <- run(commands), do: {:failed, why})

        flunk("""
        #{why}

        after #{length(commands)} commands, the last of which failed:

        #{Enum.map_join(commands, "\n", &inspect(&1, limit: :infinity))}

        SEED=#{base_seed()} mix test #{Path.relative_to_cwd(__ENV__.file)} replays it.
        """)
      end
    end
  end

  defp seeds, do: for(n <- 1..@runs, do: base_seed() * 1_000 + n)

  defp base_seed do
    case System.get_env("SEED", "") do
      "" -> ExUnit.configuration()[:seed]
      seed -> String.to_integer(seed)
    end
  end

  # Each run has a store of its own, which is stopped behind it.
  defp run(commands) do
    {:ok, store} = Rhizome.start_link(start_timeout: 20_000)

    try do
      model =
        Enum.reduce(Commands.setup(), Model.new(), fn op, model ->
          {:ok, :created} = Commands.run(store, op)
          {{:ok, :created}, model} = Model.run(model, op)
          model
        end)

      step(commands, 1, store, model)
    after
      Rhizome.stop(store)
    end
  end

  defp step([], _n, store, model), do: compare_contents(store, model)

  defp step([op | rest], n, store, model) do
    {answer, model} = Model.run(model, op)
    expected = Commands.expected(answer)
    found = Commands.run(store, op)

    with true <- found === expected || {:failed, difference(op, expected, found)},
         :ok <- if(rem(n, @check_every) == 0, do: compare_contents(store, model), else: :ok) do
      step(rest, n + 1, store, model)
    end
  end

  defp difference(op, expected, found) do
    "#{inspect(op)}\nexpected #{inspect(expected)}\n   found #{inspect(found)}"
  end

  # Symmetry, order and counts of every table, both ways.
  defp compare_contents(store, model) do
    wrong =
      for {name, type} <- Commands.tables(),
          side <- sides(type),
          view = Commands.view(store, name, side),
          expected = Model.elements(model, name, side),
          found = {
            Rhizome.to_list(view, page_size: 7),
            Rhizome.to_list(view, page_size: 7, reverse: true),
            Rhizome.count(view)
          },
          found !== {expected, Enum.reverse(expected), length(expected)},
          do: "#{side} of #{name}\nexpected #{inspect(expected)}\n   found #{inspect(found)}"

    if wrong == [], do: :ok, else: {:failed, Enum.join(wrong, "\n")}
  end

  defp sides(type) when type in [:one_to_one, :one_to_many, :many_to_one, :many_to_many] do
    [:fwd, :bwd]
  end

  defp sides(_type), do: [:fwd]

  # Leaves out ever smaller parts while what is left still fails.
  defp shrink(commands), do: shrink(commands, max(div(length(commands), 2), 1))

  defp shrink(commands, size) do
    parts = Enum.chunk_every(commands, size)

    shorter =
      Enum.find_value(0..(length(parts) - 1), fn n ->
        candidate = parts |> List.delete_at(n) |> Enum.concat()
        if candidate != [] and run(candidate) != :ok, do: candidate
      end)

    cond do
      shorter -> shrink(shorter, min(size, length(shorter)))
      size > 1 -> shrink(commands, div(size, 2))
      true -> commands
    end
  end

  # What many writers were told adds up to what is there, on both sides.
  test "nothing appears or disappears unreported, whoever writes at the same time" do
    store = start_store()

    for type <- [:one_to_one, :one_to_many, :many_to_one, :many_to_many] do
      table = table(store, type)

      reported =
        1..16
        |> Task.async_stream(
          fn writer ->
            :rand.seed(:exsss, base_seed() * 1_000 + writer)
            for _n <- 1..200, do: write_at_random(table)
          end,
          max_concurrency: 16
        )
        |> Enum.flat_map(fn {:ok, balances} -> balances end)
        |> Enum.sum()

      pairs = Rhizome.to_list(table)
      assert length(pairs) == reported
      mirrored = for {b, a} <- Rhizome.bwd(table), do: {a, b}
      assert Enum.sort(mirrored) == pairs
    end
  end

  # Inserted less removed, as the answer says.
  defp write_at_random(table) do
    {a, b} = {:rand.uniform(20), :rand.uniform(20)}

    case :rand.uniform(6) do
      1 -> balance(Rhizome.put!(table, a, b))
      2 -> balance(Rhizome.put!(Rhizome.bwd(table), b, a))
      3 -> balance(Rhizome.insert!(Rhizome.fwd(table, a), b))
      4 -> balance(Rhizome.insert_all!(Rhizome.bwd(table, b), [a, a + 1, a + 2]))
      5 -> -length(Rhizome.delete!(table, {a, b}).evicted)
      6 -> -length(Rhizome.delete_key!(Rhizome.bwd(table), b).evicted)
    end
  end

  defp balance(change), do: change.count - length(change.evicted)

  describe "the passage rule" do
    for reverse <- [false, true] do
      test "deleting what was just returned skips nothing, reverse: #{reverse}" do
        store = start_store()

        for type <- [:set, :to_many, :many_to_many, :one_to_one], size <- [1, 2, 3] do
          elements = if type == :set, do: Enum.to_list(1..20), else: for(n <- 1..20, do: {n, -n})
          table = table(store, type, elements)

          seen =
            table
            |> Rhizome.stream(page_size: size, reverse: unquote(reverse))
            |> Enum.map(fn element ->
              Rhizome.delete!(table, element)
              element
            end)

          assert seen == if(unquote(reverse), do: Enum.reverse(elements), else: elements)
          assert Rhizome.count(table) == 0
        end
      end
    end

    test "what lies ahead is seen as it is, and what was passed is not seen again" do
      set = table(start_store(), :set, [1, 3, 5, 7])

      seen =
        set
        |> Rhizome.stream(page_size: 1)
        |> Enum.map(fn n ->
          if n == 3, do: Rhizome.insert_all!(set, [2, 4])
          if n == 4, do: Rhizome.delete!(set, 5)
          n
        end)

      assert seen == [1, 3, 4, 7]
    end
  end

  describe "the held-set rule" do
    test "a held set is there before its key and after it, and sees every change" do
      owns = table(start_store(), :one_to_many)
      hers = Rhizome.fwd(owns, :ann)
      assert Enum.to_list(hers) == []
      Rhizome.put!(Rhizome.bwd(owns), :sword, :ann)
      assert Enum.to_list(hers) == [:sword]
      assert Rhizome.insert!(Rhizome.fwd(owns, :bob), :sword).evicted == [{:ann, :sword}]
      assert Enum.to_list(hers) == []
      refute Rhizome.has_key?(owns, :ann)
      Rhizome.insert!(hers, :bow)
      assert Rhizome.to_list(owns) == [{:ann, :bow}, {:bob, :sword}]
    end
  end
end
