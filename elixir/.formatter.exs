[
  inputs: [
    "{mix,.formatter}.exs",
    "{lib,examples}/**/*.{ex,exs}",
    "../test/elixir/**/*.{ex,exs}"
  ]
]
